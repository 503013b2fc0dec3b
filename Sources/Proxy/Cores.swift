// How many threads may run at once here?

import Glibc

/// Cores that are online; one where the kernel does not say.
func cores() -> Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }
