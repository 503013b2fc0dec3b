// Is what comes of every foreign configuration one that muster takes?

import Import

@Sendable func importHAProxy(_ bytes: [UInt8]) {
    let text = String(decoding: bytes, as: UTF8.self)
    holds(HAProxyImport.read(text, file: "fuzz.cfg", environment: ["NAME": "a value"]), of: text)
}

@Sendable func importNginx(_ bytes: [UInt8]) {
    let text = String(decoding: bytes, as: UTF8.self)
    let file = SourceFile(path: "fuzz.conf", text: text)
    // Whatever it includes is itself.
    holds(NginxImport.read(file) { _, _ in [file] }, of: text)
}

private func holds(_ imported: Imported, of text: String) {
    let found = complaints(of: imported.text)
    require(found.isEmpty, "\(found) of:\n\(imported.text)")
    require(imported.noteCount >= 0 && !imported.text.isEmpty, "nothing of \(text)")
}
