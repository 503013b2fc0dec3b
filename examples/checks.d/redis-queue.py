#!/usr/bin/python3
"""How many jobs wait in a list of Redis? A thread a question: a slow server holds up no other."""
import json, socket, sys, threading

def jobs(ask):
    key = ask["parameters"]["key"].encode()
    with socket.create_connection((ask["host"], ask["port"]), ask["timeout_ms"] / 1100) as server:
        server.sendall(b"*2\r\n$4\r\nLLEN\r\n$%d\r\n%s\r\n" % (len(key), key))
        return int(server.makefile().readline().removeprefix(":"))

def answer(ask):
    try:
        count, limit = jobs(ask), ask["parameters"]
        status = "fail" if count >= limit["fail"] else "warn" if count >= limit["warn"] else "pass"
        told = {"status": status, "message": f"{count} jobs wait", "metrics": {"jobs": count}}
    except (OSError, ValueError) as error:
        told = {"status": "fail", "message": str(error)}
    print(json.dumps({"id": ask["id"], **told}) + "\n", end="", flush=True)

for line in sys.stdin:
    threading.Thread(target=answer, args=[json.loads(line)], daemon=True).start()
