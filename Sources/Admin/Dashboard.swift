// What does a person see at `/`? One page without any file beside it: every peer, those in trouble first, its
// status, since when and why, its last day, and what can be done about it. It hears of changes as they come,
// draws only the rows that are in sight, so that ten thousand are as quick as ten, and says so when no answer comes.

enum Dashboard {
    /// The script is in two parts, so that no literal is too long to be read.
    static let page = frame.replacing("/*STYLE*/", with: style)
        .replacing("/*SCRIPT*/", with: DashboardScript.reading + DashboardScript.acting)

    private static let frame = #"""
        <!doctype html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>muster</title>
        <link rel="icon" href="data:,">
        <style>/*STYLE*/</style>
        </head>
        <body>
        <a class="skip" href="#list">to the peers</a>
        <header>
          <h1>muster</h1><span id="summary" class="dim">loading</span>
          <nav class="dim"><a href="/v1/upstreams">API</a> <a href="/metrics">metrics</a>
            <a href="/ready">ready</a></nav>
        </header>
        <main>
        <div id="trouble" class="note" role="alert" hidden></div>
        <div id="notes" role="status"></div>
        <div class="tools" role="search">
          <input id="search" type="search" placeholder="search ( / )" aria-label="Search upstreams, peers and reasons">
          <div id="filters" role="group" aria-label="Show only peers that are"></div>
        </div>
        <div id="list" tabindex="0" role="tree" aria-label="Upstreams and peers; arrow keys move, Enter opens">
          <div id="space" role="none"></div></div>
        </main>
        <section id="feed" tabindex="0" aria-label="Last transitions"><h2>Transitions</h2><ol></ol></section>
        <dialog id="detail" aria-labelledby="detail-title"></dialog>
        <script>/*SCRIPT*/</script>
        </body>
        </html>
        """#

    static let style = #"""
          :root { color-scheme: light dark; --back: #fff; --fore: #1b1b1b; --line: #8883; --dim: #636363;
            --soft: #8881; --up: #217a3c; --warn: #8a6100; --down: #b3261e; --out: #2b5fa8; --none: #666; --row: 46px; }
          @media (prefers-color-scheme: dark) { :root { --back: #16181b; --fore: #e8e8e8; --dim: #a8a8a8; } }
          * { box-sizing: border-box; }
          html, body { height: 100%; }
          body { font: 15px/1.4 system-ui, sans-serif; margin: 0 auto; max-width: 90rem; padding: .8rem 1rem 0;
            display: flex; flex-direction: column; gap: .6rem; background: var(--back); color: var(--fore); }
          header { display: flex; gap: 1rem; align-items: baseline; flex-wrap: wrap; }
          header nav { margin-left: auto; } a { color: inherit; }
          h1 { font-size: 1.25rem; margin: 0; } h2 { font-size: 1rem; margin: .2rem 0; }
          .dim { color: var(--dim); }
          main { display: flex; flex-direction: column; gap: .6rem; flex: 1 1 20rem; min-height: 0; }
          .skip { position: absolute; left: -99rem; } .skip:focus { left: 1rem; background: var(--back); padding: .3rem; z-index: 2; }
          .note, #notes div { background: #b3261e; color: #fff; padding: .4rem .8rem; border-radius: .3rem; margin-bottom: .2rem; }
          .tools { display: flex; gap: .6rem; flex-wrap: wrap; align-items: center; }
          #filters { display: flex; gap: .3rem; flex-wrap: wrap; min-height: 2.2rem; }
          #search { font: inherit; padding: .35rem .6rem; min-width: 14rem; flex: 1 1 14rem; max-width: 30rem;
            border: 1px solid var(--line); border-radius: .4rem; background: var(--back); color: inherit; }
          button { font: inherit; color: inherit; background: var(--soft); border: 1px solid var(--line); border-radius: .4rem;
            padding: .3rem .6rem; cursor: pointer; }
          button[aria-pressed=true] { background: var(--fore); color: var(--back); }
          #list { position: relative; overflow-y: auto; flex: 1 1 20rem; min-height: 14rem; border: 1px solid var(--line);
            border-radius: .5rem; contain: strict; }
          :focus-visible { outline: 3px solid #2b7de0; outline-offset: -1px; }
          .row { position: absolute; left: 0; right: 0; height: var(--row); display: grid; align-items: center; gap: .7rem;
            grid-template-columns: 6.2rem minmax(9rem, 1.2fr) 5rem 5.5rem minmax(8rem, 2fr) 10rem 6rem; padding: 0 .8rem;
            border-bottom: 1px solid var(--line); text-decoration: none; }
          .row.head { grid-template-columns: 6.2rem auto 1fr; background: var(--soft); font-weight: 600; }
          .row.chosen { background: #2b7de033; box-shadow: inset .3rem 0 0 #2b7de0; }
          .row > * { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
          .row.head .why { font-weight: 400; }
          .number { text-align: right; font-variant-numeric: tabular-nums; }
          .status { padding: .05rem .3rem; border-radius: .3rem; color: #fff; text-align: center; font-weight: 600; font-size: .9rem; }
          .up { background: var(--up); } .degraded, .starting { background: var(--warn); }
          .down, .ejected, .panic { background: var(--down); } .drain, .maint { background: var(--out); } .unknown { background: var(--none); }
          .strip { display: flex; gap: 1px; height: 1.5rem; }
          .strip i { flex: 1; background: var(--line); border-radius: 1px; }
          .strip .u { background: var(--up); } .strip .w { background: repeating-linear-gradient(45deg, #8a6100 0 2px, #d9a520 2px 4px); }
          .strip .d { background: var(--down); height: 60%; align-self: end; box-shadow: 0 -.5rem 0 var(--down); }
          .strip .m { background: var(--out); height: 40%; align-self: end; }
          svg.spark { width: 100%; height: 1.5rem; } svg.spark path { fill: none; stroke: currentColor; stroke-width: 1.5; }
          body.old #list, body.old #feed { opacity: .45; }
          #feed { flex: 0 1 10rem; overflow-y: auto; min-height: 3rem; }
          #feed ol { list-style: none; margin: 0; padding: 0; font-size: .9rem; } #feed li { padding: .1rem 0; }
          dialog { border: 1px solid var(--line); border-radius: .6rem; max-width: min(52rem, 96vw); width: 52rem; max-height: 92vh;
            background: var(--back); color: var(--fore); padding: 1rem 1.2rem; }
          dialog::backdrop { background: #0007; }
          dialog table { border-collapse: collapse; width: 100%; font-size: .92rem; } dialog td, dialog th { text-align: left; padding: .2rem .5rem .2rem 0; vertical-align: top; }
          dialog .tools { margin: .6rem 0; } dialog input { font: inherit; padding: .25rem .4rem; background: var(--back); color: inherit; border: 1px solid var(--line); border-radius: .3rem; }
          dialog .strip { height: 2rem; margin: .3rem 0; }
          @media (max-width: 60rem) { .row { grid-template-columns: 6.2rem minmax(8rem, 1fr) 5rem minmax(6rem, 1.4fr) 8rem; }
            .weight, .latency { display: none; } }
          @media (max-width: 40rem) { :root { --row: 66px; } body { padding: .5rem .5rem 0; }
            .row { grid-template-columns: 5.6rem 1fr 4rem; grid-template-rows: auto auto; row-gap: 0; align-content: center; }
            .row.head { grid-template-columns: 5.6rem 1fr; } .row .why { grid-column: 1 / -1; font-size: .85rem; }
            .strip-cell { display: none; } #feed { display: none; }
            #summary { order: 3; flex-basis: 100%; min-height: 1.4em; } #filters { flex-wrap: nowrap; overflow-x: auto; height: 2.4rem; flex: 1 1 100%; } }
          @media (prefers-reduced-motion: no-preference) { .row { transition: background-color .2s; } }
        """#
}
