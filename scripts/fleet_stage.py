#!/usr/bin/env python3
"""What scripts/bench-fleet stands on: targets that note who probes them and when, clients, a Redis, agents, networks.

Run by itself it is one of the helpers, in a process of its own.
"""
import array, ctypes, http.client, json, os, pickle, random, re, resource, select, signal, socket, subprocess, sys, tempfile
import threading, time

MUSTER = os.path.abspath(os.environ.get("MUSTER", ".build/release/muster"))
PATIENCE = 60

now = time.monotonic


def scratch():
    """The folder in which all of it lies."""
    if not scratch.path:
        scratch.path = tempfile.mkdtemp(prefix="bench-fleet-")
    return scratch.path
scratch.path = None


# --- child processes of this script -----------------------------------------------------------------------

class Helper:
    """This script again, as another process that does one thing and answers calls."""

    def __init__(self, *words, namespace=None):
        self.ours, theirs = socket.socketpair()
        inside = ["nsenter", "-t", str(namespace), "-n"] if namespace else []
        self.process = subprocess.Popen(
            [*inside, sys.executable, os.path.abspath(__file__), *words, str(theirs.fileno())],
            pass_fds=[theirs.fileno()], preexec_fn=die_with_parent,
        )
        theirs.close()
        self.answers = self.ours.makefile("rb")
        self.call()

    def call(self, *words):
        self.ours.sendall(json.dumps(words).encode() + b"\n")
        return pickle.load(self.answers)

    def end(self):
        self.process.kill()
        self.process.wait()
        self.answers.close()
        self.ours.close()


def die_with_parent():
    """The kernel ends this process with the one that started it, however that ends."""
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)


class Calls:
    """The other end of a Helper."""

    def __init__(self, descriptor):
        self.sock = socket.socket(fileno=int(descriptor))
        self.buffer = b""

    def fileno(self):
        return self.sock.fileno()

    def read(self):
        data = self.sock.recv(65536)
        if not data:
            os._exit(0)
        *lines, self.buffer = (self.buffer + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def answer(self, value):
        self.sock.setblocking(True)
        self.sock.sendall(pickle.dumps(value))


def targets(port, descriptor):
    """Every address of this namespace is a target, by its last three numbers. Notes who probes which, and when."""
    calls, listener = Calls(descriptor), socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("0.0.0.0", int(port)))
    listener.listen(4096)
    listener.setblocking(False)
    epoll = select.epoll()
    epoll.register(listener.fileno(), select.EPOLLIN)
    epoll.register(calls.fileno(), select.EPOLLIN)
    times, numbers, who, names = array.array("d"), array.array("I"), array.array("H"), []
    failing, everybody, held, late = {}, set(), {}, []
    clients = {}

    def answer(fd, number, agent):
        connection = clients.get(fd)
        if connection is None or connection[1] != number:
            return
        fails = number in everybody or number in failing.get(agent, ())
        body = b"" if agent else b"%d" % number
        close = b"Connection: close\r\n" if agent else b""
        try:
            connection[0].send(b"HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s" % (
                b"500 No" if fails else b"200 OK", close, len(body), body))
        except OSError:
            pass
        if agent:
            drop(fd)

    def drop(fd):
        connection = clients.pop(fd, None)
        if connection:
            connection[0].close()

    def read(fd):
        connection = clients.get(fd)
        if connection is None:
            return
        try:
            data = connection[0].recv(8192)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            return drop(fd)
        data = connection[2] + data
        if not data.endswith(b"\r\n\r\n"):
            connection[2] = data
            return
        connection[2] = b""
        number, agent = connection[1], ""
        place = data.find(b"X-Agent: ")
        if place >= 0:
            agent = data[place + 9:data.index(b"\r", place)].decode()
            if agent not in names:
                names.append(agent)
            times.append(now())
            numbers.append(number)
            who.append(names.index(agent))
            if agent in held:
                late.append((now() + held[agent], fd, number, agent))
                return
        answer(fd, number, agent)

    while True:
        wait = 1.0
        if late:
            wait = max(min(entry[0] for entry in late) - now(), 0)
        for fd, _ in epoll.poll(wait):
            if fd == listener.fileno():
                for _ in range(64):
                    try:
                        connection, _ = listener.accept()
                    except OSError:
                        break
                    connection.setblocking(False)
                    a, b, c, d = connection.getsockname()[0].split(".")
                    clients[connection.fileno()] = [connection, int(b) % 16 << 16 | int(c) << 8 | int(d), b""]
                    epoll.register(connection.fileno(), select.EPOLLIN)
                    read(connection.fileno())
            elif fd == calls.fileno():
                for what, *rest in (line or ["hello"] for line in calls.read()):
                    value = None
                    if what == "forget":
                        del times[:], numbers[:], who[:]
                    elif what == "visits":
                        value = list(zip(times, numbers, (names[index] for index in who)))
                    elif what == "fail":
                        failing[rest[0]] = set(rest[1])
                    elif what == "down":
                        everybody = set(rest[0])
                    elif what == "hold":
                        held[rest[0]] = rest[1]
                    elif what == "well":
                        failing, everybody, held = {}, set(), {}
                    calls.answer(value)
            else:
                read(fd)
        if late:
            at = now()
            due = [entry for entry in late if entry[0] <= at]
            late = [entry for entry in late if entry[0] > at]
            for _, fd, number, agent in due:
                answer(fd, number, agent)


def sink(port, descriptor):
    """Accepts, and hangs up."""
    calls, listener = Calls(descriptor), socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("0.0.0.0", int(port)))
    listener.listen(4096)

    def accept():
        while True:
            listener.accept()[0].close()

    threading.Thread(target=accept, daemon=True).start()
    while True:
        for _ in calls.read():
            calls.answer(None)


def sleeper(descriptor):
    """Wants to wake a hundred times a second, and notes when this machine let it wait."""
    calls, late, due = Calls(descriptor), [], now()
    while True:
        due = max(due + 0.01, now())
        if select.select([calls], [], [], max(due - now(), 0))[0]:
            for line in calls.read():
                calls.answer(list(late))
                if line == ["forget"]:
                    late.clear()
        elif now() - due > 0.02:
            late.append((now(), now() - due))


def traffic(descriptor):
    """GETs at a steady rate through each proxy, on kept connections, however long each takes."""
    calls, epoll = Calls(descriptor), select.epoll()
    epoll.register(calls.fileno(), select.EPOLLIN)
    proxies, rate, begun, issued = [], 0, 0, 0
    idle, busy, done = {}, {}, []

    def open_one(proxy):
        if proxy.startswith("/"):
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(1)
            connection.connect(proxy)
        else:
            host, _, port = proxy.rpartition(":")
            connection = socket.create_connection((host, int(port)), timeout=1)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(False)
        epoll.register(connection.fileno(), select.EPOLLIN)
        return connection

    def issue(proxy):
        at = now()
        try:
            connection = idle[proxy].pop() if idle[proxy] else open_one(proxy)
            busy[connection.fileno()] = [connection, proxy, at, b""]
            connection.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        except OSError as error:
            busy.pop(connection.fileno(), None) if "connection" in locals() else None
            done.append((at, now(), proxy, repr(error), ""))

    def end(fd, status, body=""):
        connection, proxy, at, _ = busy.pop(fd)
        done.append((at, now(), proxy, status, body))
        return connection, proxy

    def read(fd):
        if fd not in busy:
            # A kept connection that the proxy has closed.
            for kept in idle.values():
                for connection in [one for one in kept if one.fileno() == fd]:
                    kept.remove(connection)
                    connection.close()
            return
        entry = busy[fd]
        try:
            data = entry[0].recv(8192)
        except BlockingIOError:
            return
        except OSError as error:
            return end(fd, repr(error))[0].close()
        if not data:
            return end(fd, "closed")[0].close()
        entry[3] += data
        head, separator, body = entry[3].partition(b"\r\n\r\n")
        if not separator:
            return
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        if length and len(body) < int(length[1]):
            return
        connection, proxy = end(fd, int(head[9:12]), body.decode(errors="replace"))
        if b"onnection: close" in head or proxy not in idle:
            connection.close()
        else:
            idle[proxy].append(connection)

    while True:
        wait = 0.2
        if rate:
            wait = max(begun + (issued + 1) / rate - now(), 0)
        for fd, _ in epoll.poll(wait):
            if fd == calls.fileno():
                for what, *rest in (line or ["hello"] for line in calls.read()):
                    value = None
                    if what == "run":
                        proxies, rate = rest
                        begun, issued = now(), 0
                        for proxy in proxies:
                            idle.setdefault(proxy, [])
                    elif what == "take":
                        value, done = done, []
                        value += [(at, None, proxy, "unanswered", "") for _, proxy, at, _ in busy.values()
                                  if now() - at > 5]
                    calls.answer(value)
            else:
                read(fd)
        while rate and begun + (issued + 1) / rate <= now():
            issued += 1
            for proxy in proxies:
                issue(proxy)


# --- Redis ------------------------------------------------------------------------------------------------

def free_port():
    """Below the range from which the kernel takes ports for clients."""
    while True:
        port = random.randrange(10000, 30000)
        with socket.socket() as probe:
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                continue
        if port not in free_port.given:
            free_port.given.add(port)
            return port
free_port.given = set()


class Redis:
    """A redis-server of our own, and a client that asks it."""

    def __init__(self, folder, *settings, host="127.0.0.1", sentinel=""):
        self.folder, self.host, self.port, self.settings = folder, host, free_port(), settings
        self.process, self.connection, self.file = None, None, f"{folder}/redis-{self.port}"
        if sentinel:
            with open(self.file + ".conf", "w") as file:
                file.write(sentinel)
        self.sentinel = bool(sentinel)
        self.start()

    def start(self):
        words = [self.file + ".conf", "--sentinel"] if self.sentinel else ["--save", ""]
        self.process = subprocess.Popen(
            ["redis-server", *words, "--port", str(self.port), "--bind", self.host, "--dir", self.folder,
             "--protected-mode", "no", *self.settings],
            stdout=open(self.file + ".log", "a"), stderr=subprocess.STDOUT, preexec_fn=die_with_parent)
        until(lambda: self.tries("PING"), "redis-server", step=0.005)
        return now()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.forget()

    def forget(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def tries(self, *words):
        try:
            return self.ask(*words)
        except (OSError, ValueError):
            self.forget()
            return None

    def ask(self, *words):
        if not self.connection:
            self.connection = socket.create_connection((self.host, self.port), timeout=5).makefile("rwb")
        self.connection.write(b"*%d\r\n" % len(words))
        for word in words:
            word = str(word).encode()
            self.connection.write(b"$%d\r\n%s\r\n" % (len(word), word))
        self.connection.flush()
        return self.reply()

    def reply(self):
        line = self.connection.readline()
        if not line:
            raise OSError("redis: closed")
        sort, rest = line[:1], line[1:-2]
        if sort == b"-":
            raise ValueError(rest.decode())
        if sort in b"+":
            return rest.decode()
        if sort == b":":
            return int(rest)
        if int(rest) < 0:
            return None
        if sort == b"$":
            return self.connection.read(int(rest) + 2)[:-2].decode(errors="replace")
        return [self.reply() for _ in range(int(rest))]

    def hash(self, key):
        flat = self.tries("HGETALL", key) or []
        return dict(zip(flat[::2], flat[1::2]))

    def info(self, section):
        return dict(line.split(":", 1) for line in (self.tries("INFO", section) or "").split("\r\n") if ":" in line)

    def holders(self):
        """Which agent holds which pair, as docs/FLEET.md shows it."""
        return {pair: claim.split(" ", 6)[-1] for pair, claim in self.hash("muster:claims").items()
                if len(claim.split(" ", 6)) > 6}

    def verdicts(self):
        return {pair: json.loads(text) for pair, text in self.hash("muster:verdicts").items()}


# --- muster -----------------------------------------------------------------------------------------------

class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=5)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Agent:
    """One muster; its admin address is a socket in the folder, so that it is reached from every namespace."""

    def __init__(self, fleet, id, text, namespace=None):
        self.fleet, self.id, self.namespace, self.process = fleet, id, namespace, None
        self.admin, self.log = f"{fleet.folder}/{id}.sock", f"{fleet.folder}/{id}.log"
        self.file = f"{fleet.folder}/{id}.yaml"
        self.events, self.follower = [], None
        with open(self.file, "w") as file:
            file.write(text)

    def start(self):
        inside = ["nsenter", "-t", str(self.namespace), "-n"] if self.namespace else []
        self.process = subprocess.Popen(
            [*inside, MUSTER, "run", "-c", self.file], stdout=subprocess.DEVNULL, stderr=open(self.log, "a"),
            preexec_fn=die_with_parent)
        self.follower = threading.Thread(target=self.follow, args=(self.process,), daemon=True)
        self.follower.start()
        return now()

    def signal(self, number):
        self.process.send_signal(number)
        return now()

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()

    def stop(self):
        self.process.terminate()
        self.process.wait(PATIENCE)

    def request(self, method, path, body=None):
        connection = UnixConnection(self.admin)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def get(self, path):
        """None while nobody answers."""
        try:
            return json.loads(self.request("GET", path)[1])
        except (OSError, ValueError, http.client.HTTPException):
            return None

    def follow(self, process):
        """Notes each change of a status, as anybody sees it who listens."""
        while process.poll() is None:
            try:
                connection = UnixConnection(self.admin)
                connection.timeout = 30
                connection.request("GET", "/v1/events?limit=0")
                answer = connection.getresponse()
                while line := answer.readline():
                    if line.startswith(b"data: {"):
                        self.events.append((now(), json.loads(line[6:])))
            except (OSError, ValueError, http.client.HTTPException):
                time.sleep(0.1)

    def run(self, *words):
        done = subprocess.run([MUSTER, *words], capture_output=True, text=True, timeout=60,
                              env=dict(os.environ, MUSTER_ADMIN=f"unix:{self.admin}"))
        return done.returncode, done.stdout + done.stderr

    def peers(self, upstream="web"):
        answer = self.get(f"/v1/upstreams/{upstream}")
        return answer["peers"] if answer else None

    def metric(self, name):
        """The sum of a family; 0 where it has no line."""
        text = self.request("GET", "/metrics")[1].decode()
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.M))


class Fleet:
    """Agents on one Redis, and what they probe."""

    def __init__(self, peers=300, agents=3, monitor=None, redis=None, url=None, store="", upstream="", kind="http",
                 interval="1s", namespaces=None, host="127.1.%d.%d", proxies=True, weights=None, start=True):
        self.folder = tempfile.mkdtemp(prefix="fleet-", dir=scratch())
        self.count, self.port = peers, free_port()
        self.redis = redis or Redis(self.folder)
        self.url = url or f"redis://{self.redis.host}:{self.redis.port}/0"
        self.targets = Helper("--sink" if kind == "tcp" else "--targets", str(self.port))
        self.upstream, self.store, self.kind, self.interval, self.monitor = upstream, store, kind, interval, monitor
        self.host, self.proxies, self.namespaces, self.weights = host, proxies, namespaces or {}, weights
        self.agents, self.ports, self.traffic = {}, {}, None
        FLEETS.append(self)
        for number in range(1, agents + 1):
            self.add(f"a{number}")
        if start:
            for agent in self.agents.values():
                agent.start()
            self.share(agents)

    def add(self, id, more=""):
        self.agents[id] = Agent(self, id, self.text(id) + more, self.namespaces.get(id))
        return self.agents[id]

    def proxy(self, id):
        """Where this agent's proxy listens: a socket where it stands in a namespace of its own."""
        if id in self.namespaces:
            return f"{self.folder}/{id}-proxy.sock"
        return f"127.0.0.1:{self.ports.setdefault(id, free_port())}"

    def text(self, id, probes=True, store=""):
        settings = f"interval: {self.interval}, timeout: 500ms"
        if self.kind == "http":
            settings += f", path: /health, headers: {{X-Agent: {id}}}"
        monitor = self.monitor or f"{self.kind}: {{{settings}}}"
        peers = "".join(
            f"      - {{id: p{number}, address: '{self.address(number)}', "
            f"weight: {self.weights[number] if self.weights else 1}}}\n" for number in range(self.count))
        text = f"""agent: {{id: {id}, probes: {str(probes).lower()}}}
admin: {{bind: 'unix:{self.folder}/{id}.sock'}}
store:
  url: {self.url}
{self.store}{store}
upstreams:
  web:
{self.upstream}
    peers:
{peers}
    monitors:
      - {monitor.replace('{}', id)}
"""
        bind = self.proxy(id)
        if self.proxies:
            text += f"""proxy:
  threads: 1
  listeners: [{{bind: '{'unix:' * bind.startswith('/')}{bind}', routes: [{{upstream: web}}]}}]
"""
        return text

    def address(self, number):
        return self.host % (number + 256 >> 8, number + 256 & 255) + f":{self.port}"

    def raw(self, number):
        """By what the targets know a peer: the end of its address."""
        return (int(self.host.split(".")[1]) % 16 << 16) + 256 + number

    def number(self, raw):
        return raw - self.raw(0)

    def share(self, agents, steady=4.0, patience=PATIENCE):
        """Waits until so many share all pairs, each pair with its heir, and nothing has moved for a while."""
        before, since = None, now()
        end = now() + patience
        while now() < end:
            answer = next(iter(self.living())).get("/v1/agents") or {"agents": []}
            members = {a["id"]: a["pairs"] for a in answer["agents"] if a["state"] == "member"}
            holders = self.redis.holders()
            if (holders, members) != before:
                before, since = (holders, members), now()
            if len(members) == agents and sum(members.values()) == self.pairs() == len(holders) and now() - since > steady:
                return holders
            time.sleep(0.2)
        raise Late(f"{agents} agents with {self.pairs()} pairs: saw {members}, {len(holders)} claims")

    def pairs(self):
        return self.count

    def living(self):
        return [a for a in self.agents.values() if a.process and a.process.poll() is None]

    def fail(self, id, peers):
        """From now on these tell this agent that they are not well."""
        self.targets.call("fail", id, [self.raw(number) for number in peers])

    def visits(self):
        return [(at, self.number(target), agent) for at, target, agent in self.targets.call("visits")]

    def changes(self, since, until=float("inf")):
        return [(agent.id, at, event) for agent in self.agents.values() for at, event in list(agent.events)
                if since <= at <= until]

    def load(self, rate, ids=None):
        """Requests through the proxies of these agents."""
        if not self.traffic:
            self.traffic = Helper("--traffic")
        self.traffic.call("run", [self.proxy(id) for id in ids or self.agents], rate)

    def requests(self):
        return self.traffic.call("take")

    def end(self):
        for agent in self.agents.values():
            agent.kill()
        self.targets.end()
        if self.traffic:
            self.traffic.end()
        self.redis.kill()
        if self in FLEETS:
            FLEETS.remove(self)


class Late(Exception):
    pass


def until(condition, what, patience=PATIENCE, step=0.02):
    """How long it took until the condition held."""
    begun = now()
    while now() - begun < patience:
        if condition():
            return now() - begun
        time.sleep(step)
    raise Late(what)


# --- networks, and the end ---------------------------------------------------------------------------------

class Networks:
    """A network namespace for each agent, with one way to Redis and another to the targets, which can be cut."""

    def __init__(self, ids):
        self.links, self.holders = {}, {}
        run("ip", "route", "replace", "local", "10.99.0.0/16", "dev", "lo")
        for bridge, address in (("store", "10.98.0.1/24"), ("peers", "10.97.0.1/24")):
            # Its own address, or it takes another with each link that comes or goes, and nobody finds it for a while.
            run("ip", "link", "add", bridge, "address", f"02:00:00:00:00:{address.split('.')[1]}", "type", "bridge")
            run("ip", "addr", "add", address, "dev", bridge)
            run("ip", "link", "set", bridge, "up")
        for number, id in enumerate(ids, 11):
            holder = subprocess.Popen(["unshare", "-n", "sleep", "infinity"], preexec_fn=die_with_parent)
            self.holders[id] = holder
            until(lambda: os.readlink(f"/proc/{holder.pid}/ns/net") != os.readlink("/proc/self/ns/net"), "unshare")
            inside = ["nsenter", "-t", str(holder.pid), "-n"]
            run(*inside, "ip", "link", "set", "lo", "up")
            for bridge, network in (("store", "10.98.0"), ("peers", "10.97.0")):
                link = f"{bridge}{number}"
                run("ip", "link", "add", link, "type", "veth", "peer", "name", bridge, "netns", str(holder.pid))
                run("ip", "link", "set", link, "master", bridge, "up")
                run(*inside, "ip", "addr", "add", f"{network}.{number}/24", "dev", bridge)
                run(*inside, "ip", "link", "set", bridge, "up")
            run(*inside, "ip", "route", "add", "10.99.0.0/16", "via", "10.97.0.1")
            self.links[id] = f"peers{number}"

    def pids(self):
        return {id: holder.pid for id, holder in self.holders.items()}

    def cut(self, id):
        """What goes to the targets from here on is lost on its way; links and routes stay as they are."""
        run("ip", "link", "set", self.links[id], "nomaster")

    def mend(self, id):
        run("ip", "link", "set", self.links[id], "master", "peers")

    def end(self):
        for holder in self.holders.values():
            holder.kill()
            holder.wait()
        for bridge in ("store", "peers"):
            run("ip", "link", "del", bridge)


def run(*words):
    subprocess.run(words, check=True)


def seconds_of(process):
    with open(f"/proc/{process.pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def connects():
    """How often anybody in this namespace has begun to connect. A probe of TCP ends before its target could accept it."""
    with open("/proc/self/net/snmp") as file:
        names, values = [line.split() for line in file if line.startswith("Tcp:")]
    return int(values[names.index("ActiveOpens")])


FLEETS = []


def end_all():
    while FLEETS:
        FLEETS.pop().end()


def main():
    helpers = {"--targets": targets, "--sink": sink, "--sleeper": sleeper, "--traffic": traffic}
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    helpers[sys.argv[1]](*sys.argv[2:])


if __name__ == "__main__":
    main()
