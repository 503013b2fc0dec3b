// Is what is said in OpenMetrics what the format allows, and the same as in plain text?

import Testing

@testable import Admin

@Suite struct OpenMetricsTests {
    @Test(
        arguments: [
            (nil, false), ("*/*", false), ("text/plain", false),
            ("application/openmetrics-text", true),
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1",
                true
            ),
            ("text/plain, application/openmetrics-text; q=0.5", false),
            ("application/openmetrics-text;q=0", false),
        ] as [(String?, Bool)]
    )
    func `who wants it`(accept: String?, isWanted: Bool) {
        #expect(OpenMetrics.isWanted(accept) == isWanted)
    }

    @Test
    func
        `counters lose their ending where their family is named, bounds are fractions, the end is said`()
    {
        let plain = """
            # HELP a_total Some words.
            # TYPE a_total counter
            a_total{x="le=\\"1\\""} 3
            # HELP h Times.
            # TYPE h histogram
            h_bucket{le="1"} 1
            h_bucket{u="w",le="0.5"} 1
            h_bucket{u="w",le="+Inf"} 2
            h_sum 1.5
            h_count 2
            # HELP c Open.
            # TYPE c gauge
            c 1
            # HELP c_total Ever.
            # TYPE c_total counter
            c_total 9

            """
        #expect(
            OpenMetrics.text(of: plain) == """
                # TYPE a counter
                # HELP a Some words.
                a_total{x="le=\\"1\\""} 3
                # TYPE h histogram
                # HELP h Times.
                h_bucket{le="1.0"} 1
                h_bucket{u="w",le="0.5"} 1
                h_bucket{u="w",le="+Inf"} 2
                h_sum 1.5
                h_count 2
                # TYPE c gauge
                # HELP c Open.
                c 1
                # TYPE c_total unknown
                # HELP c_total Ever.
                c_total 9
                # EOF

                """
        )
    }
}
