// What can be done on the dashboard? The part of the page's script that answers keys and hands, shows one peer
// whole, and asks muster to drain it, to take it out, to put it back or to probe it now.

extension DashboardScript {
    static let acting = #"""
        // MARK: One peer
        const parts = (key) => { const at = key.indexOf("/"); return [key.slice(0, at), key.slice(at + 1)]; };
        const pathOf = (key) => {
          const [upstream, peer] = parts(key).map(encodeURIComponent);
          return "/v1/upstreams/" + upstream + "/peers/" + peer;
        };
        const open = async (key) => {
          state.peer = key;
          writeState(true);
          const dialog = $("detail");
          dialog.replaceChildren(element("h2", key), element("p", "loading", "dim"));
          dialog.firstChild.id = "detail-title";
          if (!dialog.open) dialog.showModal();
          await show(key);
        };
        const table = (heads, lines) => {
          const made = element("table"), head = element("tr");
          head.append(...heads.map((text) => element("th", text)));
          made.append(head, ...lines.map((cells) => {
            const line = element("tr");
            line.append(...cells.map((cell) => element("td", cell)));
            return line;
          }));
          return made;
        };
        const percent = (share) => share === null ? "not known" : Math.floor(share * 100000) / 1000 + "%";
        const show = async (key, said) => {
          const dialog = $("detail");
          try {
            const [peer, past, why] = await Promise.all(
              [pathOf(key), pathOf(key) + "/history", pathOf(key) + "/explain"].map((path) => ask(path)));
            const title = element("h2", key + " ");
            title.id = "detail-title";
            title.append(badge(peer.status));
            const close = element("button", "close (Esc)");
            close.onclick = () => dialog.close();
            const reason = element("input");
            reason.placeholder = "reason";
            reason.setAttribute("aria-label", "Reason");
            const until = element("input");
            until.placeholder = "for, such as 10m";
            until.setAttribute("aria-label", "For how long");
            const tools = element("div", undefined, "tools");
            const order = (intent) => ({ method: "PATCH", body: JSON.stringify({ intent,
              ...(intent !== "ready" && reason.value ? { reason: reason.value } : {}),
              ...(intent !== "ready" && until.value ? { until: until.value } : {}) }) });
            for (const [text, letter, path, options] of [
              ["drain", "d", "", () => order("drain")], ["maint", "m", "", () => order("maint")],
              ["ready", "r", "", () => order("ready")], ["probe now", "p", "/check", () => ({ method: "POST" })]]) {
              const button = element("button", text + " (" + letter + ")");
              button.dataset.key = letter;
              button.onclick = () => act(key, text, path, options());
              tools.append(button);
            }
            tools.append(reason, until, close);
            const answer = element("p", said || "", said ? "" : "dim");
            answer.setAttribute("role", "status");
            dialog.replaceChildren(title,
              element("p", "since " + peer.since + " (" + ago(peer.since) + ")" + (peer.reason ? ": " + peer.reason : "")),
              tools, answer, stripOf({ strip: past.strip, uptime: past.uptime["24h"] }),
              element("p", "up " + percent(past.uptime["1h"]) + " of an hour, " + percent(past.uptime["24h"]) + " of a day, "
                + percent(past.uptime["7d"]) + " of a week; " + past.outages.count
                + (past.outages.count === 1 ? " outage" : " outages") + " within a day", "dim"),
              table(["check", "says", "latency", "by"], peer.checks.map((check) => [check.monitor,
                check.status + " " + check.reason + " " + check.message,
                check.latency_ms === null ? "" : check.latency_ms.toFixed(1) + " ms", check.agent || ""])),
              element("h2", "Why"),
              table(["layer", "says", "reason"], why.layers.map((layer) => [layer.layer, layer.says, layer.reason])),
              ...why.would_change.map((text) => element("p", text)),
              element("h2", "Transitions"),
              table(["time", "from", "to", "reason"], why.transitions.map((turn) =>
                [turn.time, turn.from, turn.to, turn.reason])));
          } catch (error) {
            if (error.status === 401) return askForToken(error.message);
            const close = element("button", "close (Esc)");
            close.onclick = () => dialog.close();
            dialog.replaceChildren(element("h2", key), element("p", error.message), close);
          }
        };
        const act = async (key, text, path, options) => {
          try {
            const answer = await ask(pathOf(key) + path, options);
            const said = answer && answer.results
              ? answer.results.map((one) => one.monitor + ": " + one.verdict + " " + one.reason + " " + one.message).join("; ")
              : text + ": done";
            renew(parts(key)[0]);
            await show(key, said);
          } catch (error) {
            if (error.status === 401 || error.status === 403) return askForToken(error.message);
            await show(key, text + ": " + error.message);
          }
        };
        const askForToken = (why) => {
          const dialog = $("detail");
          const input = element("input");
          input.type = "password";
          input.setAttribute("aria-label", "Token");
          const button = element("button", "use it");
          const form = element("form");
          form.onsubmit = (event) => {
            event.preventDefault();
            token = input.value;
            // For this tab, and no longer.
            sessionStorage.setItem("token", token);
            dialog.close();
          };
          form.append(input, button);
          dialog.replaceChildren(element("h2", "A token is needed"), element("p", why), form);
          dialog.firstChild.id = "detail-title";
          if (!dialog.open) dialog.showModal();
          input.focus();
        };
        // MARK: Keys
        const choose = (index) => {
          drawn.get(chosen)?.classList.remove("chosen");
          chosen = Math.max(0, Math.min(rows.length - 1, index));
          bringIntoSight(chosen);
          draw(false);
          drawn.get(chosen)?.classList.add("chosen");
          drawn.get(chosen)?.scrollIntoView({ block: "nearest" });
        };
        addEventListener("keydown", (event) => {
          if (event.ctrlKey || event.metaKey || event.altKey) return;
          const isTyping = event.target.tagName === "INPUT";
          if ($("detail").open) {
            const button = !isTyping && $("detail").querySelector("[data-key='" + CSS.escape(event.key) + "']");
            if (button) { event.preventDefault(); button.click(); }
            return;
          }
          if (event.key === "/" && !isTyping) { event.preventDefault(); $("search").focus(); return; }
          if (isTyping && !["ArrowDown", "Escape", "Enter"].includes(event.key)) return;
          if (isTyping) { event.preventDefault(); $("list").focus(); if (event.key !== "ArrowDown") return; }
          const page = Math.floor($("list").clientHeight / height());
          const steps = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: page, PageUp: -page,
            Home: -rows.length, End: rows.length };
          if (event.key in steps) { event.preventDefault(); $("list").focus(); choose(chosen + steps[event.key]); }
          if (event.key === "Enter" && rows[chosen]?.peer && [$("list"), document.body].includes(event.target))
            open(rows[chosen].upstream.name + "/" + rows[chosen].peer.id);
        });
        $("detail").addEventListener("close", () => {
          state.peer = "";
          writeState(true);
          $("list").focus();
        });
        $("search").oninput = () => { state.q = $("search").value; writeState(false); arrange(); };
        $("list").onscroll = () => requestAnimationFrame(() => draw(false));
        addEventListener("resize", () => draw(true));
        addEventListener("popstate", () => {
          readState();
          $("search").value = state.q;
          arrange();
          if (state.peer) open(state.peer); else if ($("detail").open) $("detail").close();
        });
        readState();
        $("search").value = state.q;
        refresh();
        follow();
        """#
}
