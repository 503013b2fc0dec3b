// How is an order given by who speaks another protocol than the API's? In the words of its body, through the same door.

import EventLoop
import Health
import Store
import Vocabulary

extension ControlPlane {
    /// `{"weight":5}`, `{"intent":"drain"}` for a peer, whatever its upstream's revision is.
    func order(
        _ body: JSON,
        of key: PeerKey,
        by asker: Asker
    ) async -> Result<Operation, OperationError> {
        let operations = operations
        let bytes = Array(body.text.utf8)
        let outcome: Result<Operation, OperationError> = await run {
            do throws(OperationError) {
                return .success(
                    try await operations.value.change(key, expecting: .anything) {
                        report,
                        now throws(OperationError) in
                        do throws(PeerPatchError) {
                            return try PeerPatch(bytes).change(
                                isConfiguredDown: report.definition.isDisabled,
                                now: now,
                                by: asker.text
                            )
                        } catch {
                            throw .mistake(error.description)
                        }
                    }
                )
            } catch {
                return .failure(error)
            }
        }
        if case .success(let operation) = outcome {
            journal.log(OrderLine.line(operation.change, of: key, by: asker))
        }
        return outcome
    }
}
