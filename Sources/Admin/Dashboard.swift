// What does a person see at `/`? One page without any file beside it: every peer, its status, since
// when, and why. It asks the API each second and says so when the answer does not come.

enum Dashboard {
    static let page = #"""
        <!doctype html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>muster</title>
        <style>
          :root { color-scheme: light dark; --line: #8884; --dim: #767676; }
          body { font: 15px/1.45 system-ui, sans-serif; margin: 1.5rem auto; max-width: 72rem;
                 padding: 0 1rem; }
          header { display: flex; gap: 1rem; align-items: baseline; flex-wrap: wrap; }
          h1 { font-size: 1.3rem; margin: 0; }
          h2 { font-size: 1.05rem; margin: 1.6rem 0 .4rem; }
          .dim { color: var(--dim); }
          table { border-collapse: collapse; width: 100%; }
          th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid var(--line);
                   vertical-align: top; }
          th { font-weight: 600; font-size: .85rem; color: var(--dim); }
          td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
          .status { display: inline-block; min-width: 5.2rem; padding: .05rem .5rem;
                    border-radius: .3rem; color: #fff; text-align: center; font-weight: 600; }
          .up { background: #217a3c; } .degraded, .starting { background: #8a6100; }
          .down, .ejected, .panic { background: #b3261e; }
          .drain, .maint { background: #2b5fa8; } .unknown { background: #666; }
          #trouble, #notes div { background: #b3261e; color: #fff; padding: .4rem .8rem; border-radius: .3rem; }
          td.wide { white-space: nowrap; }
          @media (max-width: 40rem) { .wide { display: none; } }
        </style>
        </head>
        <body>
        <header><h1>muster</h1><span id="summary" class="dim">loading</span>
          <span id="trouble" role="alert" hidden></span>
          </header>
        <div id="notes" role="alert"></div>
        <main id="upstreams"></main>
        <p class="dim"><a href="/v1/upstreams">API</a> · <a href="/metrics">metrics</a> ·
          <a href="/ready">ready</a></p>
        <script>
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
        const row = (peer) => {
          const line = element("tr");
          const name = element("td", peer.id + (peer.backup ? " (backup)" : ""));
          if (peer.id !== peer.address) name.append(element("div", peer.address, "dim"));
          const status = element("td");
          status.append(badge(peer.status));
          if (peer.disagreement) status.append(element("div", peer.disagreement, "dim"));
          const since = element("td", ago(peer.since));
          since.title = peer.since;
          const weight = peer.effective_weight === peer.weight
              && peer.weight === peer.configured_weight
            ? String(peer.weight) : peer.effective_weight + " of " + peer.configured_weight;
          const number = element("td", weight, "number");
          if (peer.weight !== peer.configured_weight)
            number.title = "set by " + (peer.weight_by || "hand") + " to " + peer.weight
              + (peer.weight_until ? " until " + peer.weight_until : "")
              + (peer.weight_reason ? ": " + peer.weight_reason : "");
          const checks = element("td", undefined, "wide");
          for (const check of peer.checks) {
            const latency = check.latency_ms === null ? "" : " " + check.latency_ms.toFixed(1) + " ms";
            const said = element("div", check.monitor + ": " + check.reason + latency);
            said.title = check.message + " (health " + check.health + ", rise " + check.rise
              + ", fall " + check.fall + ", by " + check.agent + ")";
            checks.append(said);
          }
          line.append(name, status, since, number,
            element("td", peer.reason), checks);
          return line;
        };
        const section = (upstream) => {
          const made = element("section");
          const title = element("h2", upstream.name + " ");
          title.append(badge(upstream.status), element("span", " " + upstream.balance, "dim"));
          const table = element("table");
          const head = element("tr");
          for (const [text, kind] of [["peer"], ["status"], ["since"], ["weight"], ["reason"],
                                      ["checks", "wide"]])
            head.append(element("th", text, kind));
          table.append(head, ...upstream.peers.map(row));
          made.append(title);
          const why = nobody(upstream);
          if (why) made.append(element("p", why));
          made.append(table);
          return made;
        };
        // Why nobody is there, or requests go to those that are not well.
        const nobody = (upstream) => {
          if (upstream.panic)
            return "in panic since " + upstream.panic_since + " (" + ago(upstream.panic_since) + "): "
              + upstream.available + " of " + upstream.wanted
              + (upstream.wanted === 1 ? " peer" : " peers")
              + " available; requests go to all that are not in maint or drain";
          if (upstream.peers.some((peer) => peer.effective_weight > 0)) return "";
          const tally = {};
          for (const peer of upstream.peers) {
            const what = ["up", "degraded", "starting"].includes(peer.status)
              ? "with weight 0" : peer.status;
            tally[what] = (tally[what] || 0) + 1;
          }
          const parts = Object.entries(tally).map(([what, count]) => count + " " + what);
          return (parts.length ? "no available peer: " + parts.join(", ") : "no peers")
            + "; requests are answered 503";
        };
        // What is wrong with this process itself: its store, its files.
        const troubles = ({ store, fleet, ledger, memory_file: memory, configuration, certificate,
                            overdue, other_definitions: others }) => [
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
          memory && memory.error ? "agent-check.memory-file " + memory.path + " " + memory.error : "",
          configuration && configuration.refused_at
            ? "the configuration was refused at " + configuration.refused_at + ": "
              + configuration.mistake
              + (configuration.mistakes > 1 ? " (and " + (configuration.mistakes - 1) + " more)" : "")
              + "; what runs is the one of " + configuration.loaded_at : "",
          certificate && certificate.problem ? "admin.tls: " + certificate.problem : "",
        ].filter((text) => text);
        const storeTrouble = (store) => {
          const since = " since " + store.since;
          if (!store.connected)
            return "store " + store.kind + " is away" + since + (store.error ? ": " + store.error : "");
          if (store.twin) return "store " + store.kind + ": " + store.twin;
          if (!store.writable) return "store " + store.kind + " takes no writes: " + store.write_error;
          return store.error ? "store " + store.kind + ": " + store.error : "";
        };
        let lastHeard = Date.now();
        const refresh = async () => {
          const trouble = document.getElementById("trouble");
          try {
            const response = await fetch("/v1/upstreams", { signal: AbortSignal.timeout(3000) });
            if (!response.ok) throw new Error("status " + response.status);
            const { upstreams } = await response.json();
            // 503 while first verdicts are missing, with the same members.
            const ready = await fetch("/ready", { signal: AbortSignal.timeout(3000) });
            const told = troubles(await ready.json());
            document.getElementById("notes")
              .replaceChildren(...told.map((text) => element("div", text)));
            lastHeard = Date.now();
            trouble.hidden = true;
            const peers = upstreams.flatMap((upstream) => upstream.peers);
            const well = peers.filter((peer) => peer.status === "up").length;
            document.getElementById("summary").textContent =
              well + " of " + peers.length + " peers up in " + upstreams.length
              + (upstreams.length === 1 ? " upstream" : " upstreams");
            document.getElementById("upstreams").replaceChildren(...upstreams.map(section));
          } catch (error) {
            trouble.textContent = "no answer from muster for "
              + Math.round((Date.now() - lastHeard) / 1000) + "s: what is shown is old";
            trouble.hidden = false;
          }
          setTimeout(refresh, 1000);
        };
        refresh();
        </script>
        </body>
        </html>
        """#
}
