// What does the demo run with? The text of examples/quickstart.yaml; a test keeps the two alike.

enum DemoConfiguration {
    static let quickstart = #"""
        # Everything on one machine, nothing else to install: probes three servers, answers HAProxy, proxies with failover.
        # Start three servers on 9001, 9002 and 9003 (muster demo does), then: muster run -c quickstart.yaml
        upstreams:
          web:
            balance: round-robin
            slow-start: 5s
            panic-threshold: 0%
            peers:
              - 127.0.0.1:9001
              - 127.0.0.1:9002 weight=2
              - { id: spare, address: "127.0.0.1:9003", backup: true }
            monitors:
              - http: { path: /health, interval: 1s, timeout: 500ms, rise: 2, fall: 2, fast-interval: 200ms }
              - tcp: { id: port, interval: 5s, required: false }

        proxy:
          listeners:
            - bind: 127.0.0.1:8080
              routes:
                - { host: "*", upstream: web }

        agent-check:
          bind: 127.0.0.1:7070

        admin:
          bind: 127.0.0.1:7000

        """#
}
