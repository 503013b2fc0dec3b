// How does the dashboard read and draw? The part of the page's script that changes nothing: what is asked of the
// API and when, which rows there are, and those of them that are in sight.

enum DashboardScript {
    static let reading = #"""
        "use strict";
        const $ = (id) => document.getElementById(id);
        const element = (name, text, kind) => {
          const made = document.createElement(name);
          if (text !== undefined) made.textContent = text;
          if (kind) made.className = kind;
          return made;
        };
        const ago = (time) => {
          const seconds = Math.max(0, Math.round((Date.now() - Date.parse(time)) / 1000));
          if (seconds < 60) return seconds + "s";
          if (seconds < 3600) return Math.floor(seconds / 60) + "m " + seconds % 60 + "s";
          if (seconds < 86400)
            return Math.floor(seconds / 3600) + "h " + Math.floor(seconds % 3600 / 60) + "m";
          return Math.floor(seconds / 86400) + "d " + Math.floor(seconds % 86400 / 3600) + "h";
        };
        const badge = (status) => element("span", status, "status " + status);
        // Why nobody is there, or requests go to those that are not well.
        const nobody = (upstream) => {
          if (upstream.panic)
            return "in panic since " + upstream.panic_since + " (" + ago(upstream.panic_since) + "): "
              + (upstream.wanted === 0
                ? "no peer but backups is meant to serve, and none of them is"
                : upstream.available + " of " + upstream.wanted
                  + (upstream.wanted === 1 ? " peer" : " peers"))
              + " available; requests go to all that are not in maint, in drain or at weight 0";
          if (upstream.peers.some((peer) => peer.effective_weight > 0)) return "";
          const tally = {};
          for (const peer of upstream.peers) {
            const what = ["up", "degraded", "starting"].includes(peer.status)
              ? "with weight 0" : peer.status;
            tally[what] = (tally[what] || 0) + 1;
          }
          const parts = Object.entries(tally).map(([what, count]) => count + " " + what);
          return (parts.length ? "no available peer: " + parts.join(", ") : "no peers")
            + "; requests are answered " + (upstream.unavailable_status || 503);
        };
        // What is wrong with this process itself: its store, its files.
        const troubles = ({ store, fleet, ledger, history: past, tracing, memory_file: memory, configuration, certificate,
                            overdue, other_definitions: others, notify, sources }) => [
          storeTrouble(store),
          fleet && fleet.doubt >= 0.5 && fleet.reasons.some((reason) => reason !== "store")
            ? "this agent doubts itself: " + fleet.text : "",
          fleet && fleet.held
            ? fleet.held.pairs + " checks are held as they were since " + fleet.held.since
              + ": too many peers fell silent at once, for other agents too (store.mass-change)" : "",
          overdue ? "probes are due for up to " + (overdue.longest_ms / 1000).toFixed(1)
            + " s and not begun: " + overdue.text : "",
          others ? others.first + (others.pairs > 1
            ? ", and so it is with " + (others.pairs - 1) + " more" : "")
            + ". Give all agents the same definition" : "",
          store.file_error,
          ledger && !ledger.durable
            ? "what is asked of peers is not kept: " + ledger.path + ": " + ledger.error : "",
          past && !past.durable
            ? "the history of peers is not kept: " + past.path + ": " + past.error : "",
          tracing && tracing.state === "failing"
            ? "tracing: spans do not arrive since " + tracing.since + ": " + tracing.error : "",
          memory && memory.error ? "agent-check.memory-file " + memory.path + " " + memory.error : "",
          configuration && configuration.refused_at
            ? "the configuration was refused at " + configuration.refused_at + ": "
              + configuration.mistake
              + (configuration.mistakes > 1 ? " (and " + (configuration.mistakes - 1) + " more)" : "")
              + "; what runs is the one of " + configuration.loaded_at : "",
          configuration && configuration.restart_due_since
            ? "a restart is due: " + configuration.waiting.join("; ") + " changed in the file (seen at "
              + configuration.restart_due_since + ")" : "",
          certificate && certificate.problem ? "admin.tls: " + certificate.problem : "",
          ...(notify || []).map((one) => "receiver " + one.name + " of notify has taken nothing since "
            + one.failing_since + ": " + one.error),
          ...(sources || []).map(sourceTrouble),
        ].filter((text) => text);
        const sourceTrouble = (source) =>
          !source.connected
            ? "source " + source.name + " " + source.url + " is away since " + source.since
              + (source.error ? ": " + source.error : "") + "; routing goes on with what was read"
            : source.error ? "source " + source.name + ": " + source.error : "";
        const storeTrouble = (store) => {
          const since = " since " + store.since, then = !store.as_of ? "" : "; what other agents found is as of "
              + (store.as_of === store.since ? "then" : store.as_of);
          if (!store.connected)
            return "store " + store.kind + " is away" + since + (store.error ? ": " + store.error : "")
              + (store.advice ? "; " + store.advice : "") + then;
          const standing = store.twin || store.waits || store.fleet_error;
          if (standing) return "store " + store.kind + ": " + standing;
          if (!store.writable)
            return "store " + store.kind + " takes no writes" + since + ": " + store.write_error
              + (store.advice ? "; " + store.advice : "") + then;
          return store.error ? "store " + store.kind + ": " + store.error : "";
        };
        // What is known: upstreams by name in the order of the definition, and strips by upstream.
        const known = new Map(), strips = new Map();
        let rows = [], chosen = 0, lastHeard = Date.now(), lastAnswer = Date.now(), token = sessionStorage.getItem("token") || "";
        // What is shown stands in the address, so that every state has a link.
        const state = { q: "", status: new Set(), peer: "" };
        const readState = () => {
          const words = new URLSearchParams(location.hash.slice(1));
          state.q = words.get("q") || "";
          state.status = new Set((words.get("status") || "").split(",").filter((word) => word));
          state.peer = words.get("peer") || "";
        };
        const writeState = (isStep) => {
          const words = new URLSearchParams();
          if (state.q) words.set("q", state.q);
          if (state.status.size) words.set("status", [...state.status].join(","));
          if (state.peer) words.set("peer", state.peer);
          const hash = "#" + words.toString();
          if (hash === location.hash || (hash === "#" && !location.hash)) return;
          history[isStep ? "pushState" : "replaceState"](null, "", hash === "#" ? location.pathname : hash);
        };
        const rank = { down: 0, ejected: 1, panic: 0, degraded: 2, starting: 3, unknown: 4, drain: 5, maint: 6, up: 7 };
        const trouble = (peer) => rank[peer.status] - (peer.disagreement ? .5 : 0);
        const fits = (upstream, peer) => {
          if (state.status.size && !state.status.has(peer.status)) return false;
          if (!state.q) return true;
          const text = (upstream.name + "/" + peer.id + " " + peer.address + " " + peer.status + " " + peer.reason).toLowerCase();
          return state.q.toLowerCase().split(/\s+/).every((word) => text.includes(word));
        };
        const arrange = () => {
          const groups = [];
          for (const upstream of known.values()) {
            const peers = upstream.peers.filter((peer) => fits(upstream, peer));
            if (!peers.length && (state.q || state.status.size)) continue;
            peers.sort((a, b) => trouble(a) - trouble(b));
            const worst = Math.min(rank[upstream.status] ?? 7, peers.length ? trouble(peers[0]) : 7);
            groups.push({ upstream, peers, worst });
          }
          groups.sort((a, b) => a.worst - b.worst);
          // The row that the keys are at stays the same, wherever it goes, and in sight where it was.
          const name = (row) => row && row.upstream.name + "/" + (row.peer ? row.peer.id : "");
          const before = name(rows[chosen]), was = chosen, follows = isInSight(chosen);
          rows = groups.flatMap(({ upstream, peers }) =>
            [{ upstream }, ...peers.map((peer) => ({ upstream, peer }))]);
          const place = chosen ? rows.findIndex((row) => name(row) === before) : 0;
          chosen = place < 0 ? Math.min(chosen, Math.max(rows.length - 1, 0)) : place;
          summarise();
          if (follows && chosen !== was && document.activeElement === $("list")) bringIntoSight(chosen);
          draw(true);
        };
        const summarise = () => {
          const tally = {};
          let count = 0;
          for (const upstream of known.values())
            for (const peer of upstream.peers) { tally[peer.status] = (tally[peer.status] || 0) + 1; count++; }
          const well = tally.up || 0;
          $("summary").textContent = well + " of " + count + " peers up in " + known.size
            + (known.size === 1 ? " upstream" : " upstreams");
          document.title = (count - well ? "(" + (count - well) + ") " : "") + "muster";
          for (const status of ["down", "ejected", "degraded", "starting", "unknown", "drain", "maint", "up"]) {
            let button = $("filter-" + status);
            if (!button) {
              button = element("button");
              button.id = "filter-" + status;
              button.onclick = () => {
                if (!state.status.delete(status)) state.status.add(status);
                writeState(true);
                arrange();
              };
              $("filters").append(button);
            }
            button.textContent = status + " " + (tally[status] || 0);
            button.hidden = !tally[status] && !state.status.has(status);
            button.setAttribute("aria-pressed", state.status.has(status));
          }
        };
        // Only the rows in sight are there.
        const drawn = new Map();
        const height = () => parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--row"));
        const isInSight = (index) => {
          const list = $("list"), row = height();
          return (index + 1) * row > list.scrollTop && index * row < list.scrollTop + list.clientHeight;
        };
        const bringIntoSight = (index) => {
          const list = $("list"), row = height();
          $("space").style.height = rows.length * row + "px";
          if (index * row < list.scrollTop) list.scrollTop = index * row;
          if ((index + 1) * row > list.scrollTop + list.clientHeight)
            list.scrollTop = (index + 1) * row - list.clientHeight;
        };
        const draw = (isNew) => {
          const list = $("list"), row = height();
          const first = Math.max(0, Math.floor(list.scrollTop / row) - 4);
          const last = Math.min(rows.length, Math.ceil((list.scrollTop + list.clientHeight) / row) + 4);
          $("space").style.height = rows.length * row + "px";
          for (const [index, line] of drawn)
            if (isNew || index < first || index >= last) { line.remove(); drawn.delete(index); }
          for (let index = first; index < last; index++) {
            if (drawn.has(index)) continue;
            const line = rows[index].peer ? peerRow(rows[index]) : headRow(rows[index]);
            line.style.top = index * row + "px";
            line.id = "row-" + index;
            line.setAttribute("role", "treeitem");
            line.setAttribute("aria-level", rows[index].peer ? 2 : 1);
            line.setAttribute("aria-posinset", index + 1);
            line.setAttribute("aria-setsize", rows.length);
            if (index === chosen) line.classList.add("chosen");
            drawn.set(index, line);
            list.append(line);
          }
          // Which row the keys are at is told only while it is there.
          if (drawn.has(chosen)) list.setAttribute("aria-activedescendant", "row-" + chosen);
          else list.removeAttribute("aria-activedescendant");
          wantStrips(rows.slice(first, last));
        };
        const headRow = ({ upstream }) => {
          const line = element("div", undefined, "row head");
          line.append(badge(upstream.status), element("span", upstream.name + "  " + upstream.available + " of "
            + upstream.wanted + " available"), element("span", nobody(upstream), "why"));
          return line;
        };
        const label = (key) => new URLSearchParams({ peer: key }).toString();
        const peerRow = ({ upstream, peer }) => {
          const key = upstream.name + "/" + peer.id;
          const line = element("a", undefined, "row");
          line.href = "#" + label(key);
          line.tabIndex = -1;
          line.onclick = (event) => { event.preventDefault(); open(key); };
          const name = element("span", peer.id + (peer.backup ? " (backup)" : ""));
          name.title = peer.address;
          const since = element("span", ago(peer.since), "number since");
          since.title = peer.since;
          since.dataset.since = peer.since;
          const weight = peer.effective_weight === peer.weight && peer.weight === peer.configured_weight
            ? String(peer.weight) : peer.effective_weight + " of " + peer.configured_weight;
          const number = element("span", weight, "number weight");
          if (peer.weight !== peer.configured_weight)
            number.title = "set by " + (peer.weight_by || "hand") + " to " + peer.weight
              + (peer.weight_until ? " until " + peer.weight_until : "")
              + (peer.weight_reason ? ": " + peer.weight_reason : "");
          const checks = peer.checks.map((check) => check.monitor + " " + check.reason).join(", ");
          const why = element("span", (peer.disagreement ? peer.disagreement + "; " : "") + (peer.reason || checks), "why");
          why.title = why.textContent;
          const past = (strips.get(upstream.name)?.peers || new Map()).get(peer.id);
          const strip = element("span", undefined, "strip-cell");
          const spark = element("span", undefined, "latency");
          if (past) { strip.append(stripOf(past)); spark.append(sparkOf(past.latency_ms)); }
          line.append(badge(peer.status), name, since, number, why, strip, spark);
          return line;
        };
        const words = { d: "down", w: "degraded", m: "out", u: "up", ".": "not known" };
        const stripOf = ({ strip, uptime }) => {
          const made = element("span", undefined, "strip");
          const share = uptime === null ? "nothing known" : (Math.floor(uptime * 10000) / 100) + "% up";
          made.setAttribute("role", "img");
          made.setAttribute("aria-label", "last 24 hours: " + share);
          made.title = "last 24 hours: " + share;
          for (const letter of strip) made.append(element("i", undefined, letter === "." ? "" : letter));
          return made;
        };
        const sparkOf = (values) => {
          const made = document.createElementNS("http://www.w3.org/2000/svg", "svg");
          made.setAttribute("class", "spark");
          made.setAttribute("viewBox", "0 0 96 24");
          made.setAttribute("preserveAspectRatio", "none");
          made.setAttribute("role", "img");
          const there = values.filter((value) => value !== null);
          const most = Math.max(...there, 0.001);
          made.setAttribute("aria-label", there.length
            ? "latency within a day, at most " + most.toFixed(1) + " ms" : "latency not known");
          let path = "", isOpen = false;
          values.forEach((value, index) => {
            if (value === null) { isOpen = false; return; }
            const place = index * 2 + 1 + " " + (22 - 20 * value / most).toFixed(1);
            path += (isOpen ? "L" : "M") + place + (isOpen ? "" : "h.1");
            isOpen = true;
          });
          const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
          line.setAttribute("d", path);
          made.append(line);
          return made;
        };
        // One upstream at a time, those in sight, and each once a minute.
        let isFetching = false;
        const wantStrips = async (seen) => {
          if (isFetching) return;
          const due = seen.map(({ upstream }) => upstream.name)
            .find((name) => !strips.has(name) || Date.now() - strips.get(name).at > 60000);
          if (!due) return;
          isFetching = true;
          strips.set(due, { at: Date.now(), peers: strips.get(due)?.peers || new Map() });
          try {
            const { peers } = await ask("/v1/upstreams/" + encodeURIComponent(due) + "/history");
            strips.set(due, { at: Date.now(), peers: new Map(peers.map((peer) => [peer.id, peer])) });
          } catch { /* it is asked for again in a minute */ }
          isFetching = false;
          draw(true);
        };
        // MARK: Asking
        const ask = async (path, options = {}) => {
          // Whoever reads who asked knows the dashboard, and no browser's name.
          const headers = { From: "dashboard", ...(options.method ? { "Content-Type": "application/json" } : {}),
            ...(token ? { Authorization: "Bearer " + token } : {}) };
          const response = await fetch(path, { signal: AbortSignal.timeout(15000), ...options, headers });
          if (response.ok || path === "/ready") return response.status === 204 ? null : response.json();
          const problem = await response.json().catch(() => ({}));
          throw Object.assign(new Error(problem.detail || "status " + response.status), { status: response.status });
        };
        const heard = () => {
          lastHeard = lastAnswer = Date.now();
          document.body.classList.remove("old");
          $("trouble").hidden = true;
        };
        const refresh = async () => {
          let pause = 1000;
          try {
            const { upstreams } = await ask("/v1/upstreams");
            known.clear();
            for (const upstream of upstreams) known.set(upstream.name, upstream);
            // 503 while first verdicts are missing, with the same members.
            $("notes").replaceChildren(...troubles(await ask("/ready")).map((text) => element("div", text)));
            heard();
            arrange();
            const count = upstreams.reduce((sum, upstream) => sum + upstream.peers.length, 0);
            // Changes come by themselves; of many peers all is asked for seldom.
            pause = count > 500 ? 15000 : 2000;
            if (state.peer && !$("detail").open) open(state.peer);
          } catch (error) {
            if (error.status === 401 || error.status === 403) askForToken(error.message);
            else missing();
          }
          setTimeout(refresh, document.hidden ? 10000 : pause);
        };
        const missing = () => {
          const note = $("trouble");
          document.body.classList.add("old");
          note.textContent = "no answer from muster for " + Math.round((Date.now() - lastAnswer) / 1000)
            + "s: what is shown is how it was at " + new Date(lastHeard).toLocaleTimeString();
          note.hidden = false;
        };
        // All peers of a large fleet are asked for seldom, and comments of the stream reach no script: whether
        // somebody answers is a question of its own.
        const silenceMax = 6000;
        const pulse = async () => {
          try {
            await fetch("/health", { signal: AbortSignal.timeout(silenceMax) });
            // What is shown is no older than usual.
            if (Date.now() - lastAnswer > silenceMax) {
              document.body.classList.remove("old");
              $("trouble").hidden = true;
            }
            lastAnswer = Date.now();
          } catch { /* how long that lasts is looked at each second */ }
        };
        setInterval(() => { if (!document.hidden) pulse(); }, 2000);
        addEventListener("visibilitychange", () => {
          // Nobody has asked while nobody looked.
          if (!document.hidden) { lastAnswer = Date.now(); pulse(); }
        });
        const renewed = new Map();
        const renew = async (name) => {
          // Of many changes at once one question each half second.
          if (renewed.get(name)) { renewed.set(name, 2); return; }
          renewed.set(name, 1);
          try {
            known.set(name, await ask("/v1/upstreams/" + encodeURIComponent(name)));
            arrange();
          } catch { known.delete(name); }
          setTimeout(() => {
            const again = renewed.get(name) === 2;
            renewed.delete(name);
            if (again) renew(name);
          }, 500);
        };
        const follow = () => {
          const events = new EventSource("/v1/events?limit=50");
          events.addEventListener("transition", (message) => {
            heard();
            const event = JSON.parse(message.data);
            const line = element("li");
            line.append(element("span", new Date(event.time).toLocaleTimeString() + " ", "dim"), badge(event.to),
              element("span", " " + event.upstream + "/" + event.peer + (event.reason ? ": " + event.reason : "")));
            const feed = $("feed").querySelector("ol");
            feed.prepend(line);
            while (feed.children.length > 50) feed.lastChild.remove();
            if (known.has(event.upstream) && Date.now() - Date.parse(event.time) < 60000) renew(event.upstream);
          });
          events.onerror = () => { if (Date.now() - lastHeard > 3000) missing(); };
        };
        setInterval(() => {
          for (const line of $("list").querySelectorAll("[data-since]")) line.textContent = ago(line.dataset.since);
          if (!document.hidden && Date.now() - lastAnswer > silenceMax) missing();
        }, 1000);

        """#
}
