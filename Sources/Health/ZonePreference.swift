// When do requests stay in the zone of the agent that they came through?

/// While enough of the zone's peers are available to bear all of its requests. Envoy reckons with 1.4
/// times what each is meant for, and so do we: seven of ten are enough. Below that all peers share the
/// requests, of whatever zone, so that the few that are left are not run over.
public enum ZonePreference {
    public static func isEnough(available: Int, of wanted: Int) -> Bool {
        available > 0 && available * 10 >= wanted * 7
    }

    /// Whether an upstream's requests stay in `zone`: nil where none of its peers is there.
    public static func stays(
        in zone: String?,
        _ peers: some Sequence<(PeerDefinition, PeerView)>
    ) -> Bool? {
        guard let zone else { return nil }
        var available = 0
        var wanted = 0
        for (definition, view) in peers where definition.zone == zone && !definition.isBackup {
            if view.isAvailable { available += 1 }
            if view.isAvailable || (view.isMeantToServe && !view.isStranger) { wanted += 1 }
        }
        return wanted == 0 ? nil : isEnough(available: available, of: wanted)
    }
}
