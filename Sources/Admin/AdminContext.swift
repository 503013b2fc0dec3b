// What does a request bring along besides itself? Only a logger: the connection it came over is the
// front's business.

import Hummingbird
import Logging

struct AdminContext: RequestContext {
    struct Source: RequestContextSource {
        var logger: Logger
    }

    var coreContext: CoreRequestContextStorage

    init(source: Source) { coreContext = CoreRequestContextStorage(source: source) }
}
