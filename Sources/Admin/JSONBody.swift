// How does a JSON value become a response?

import Hummingbird
import Vocabulary

extension Response {
    /// `application/json`, one line.
    static func json(_ value: JSON, status: HTTPResponse.Status = .ok) -> Response {
        text(value.text + "\n", type: "application/json", status: status)
    }

    static func text(
        _ text: String,
        type: String,
        status: HTTPResponse.Status = .ok
    ) -> Response {
        Response(
            status: status,
            headers: [.contentType: type, .cacheControl: "no-store"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: text))
        )
    }
}
