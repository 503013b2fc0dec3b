// Has the network gone since a moment ago? What is asked every ten seconds has not been asked yet when what is asked
// every second is about to be taken down. Its last word is from before, and is no witness. So what fell silent is counted
// against what was heard since the first of that, and where much has not been heard, a few of those are asked at once.
// Pure.
//
//   fell silent: +1      answered: -2, never below nothing      five on two hosts: suspicion

struct Lately: Sendable {
    /// What was heard in an earlier turn was heard before the present silence. None is zero.
    private(set) var turn: UInt32 = 1
    /// Falls, less two for each answer among them: a line that loses a fifth of everything seldom comes to five.
    private var score = 0
    private var hosts = Set<UInt64>()
    /// Those that were heard in this turn, by their last word.
    private var answered = 0
    private var silent = 0

    /// One that answered before says nothing. `isFixed`: it is known already that the network is gone, and against what
    /// was heard since it began it is measured whether it is back.
    mutating func fell(on host: UInt64, isFixed: Bool) {
        if score == 0, !isFixed { begin() }
        score += 1
        hosts.insert(host)
    }

    mutating func noteAnswer() { score = max(score - 2, 0) }

    /// Those that were not heard since answer: it is the targets that fell silent.
    mutating func dismiss() { begin() }

    private mutating func begin() {
        turn &+= 1
        (score, answered, silent) = (0, 0, 0)
        hosts = []
    }

    /// One that was heard in this turn says so, or does no more.
    mutating func count(isSilent: Bool, by step: Int) {
        if isSilent { silent += step } else { answered += step }
    }

    /// So many fell silent as are a sample.
    var isMass: Bool { score >= Doubt.targetsMin && hosts.count >= Doubt.hostsMin }

    /// So many that the network may be gone, and not all `known` were heard since.
    func isSuspicious(of known: Int) -> Bool { isMass && silent + answered < known }

    /// None of those that were heard since has answered, and not all `known` were heard: too little to tell by.
    func isDark(of known: Int) -> Bool { score > 0 && answered == 0 && silent < known }

    /// Of what was heard since, more answers than not.
    var mostAnswer: Bool { silent * 2 < silent + answered }
}
