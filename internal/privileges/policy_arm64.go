package privileges

import "golang.org/x/sys/unix"

// auditArch is the architecture in struct seccomp_data.
const auditArch = unix.AUDIT_ARCH_AARCH64

// archCalls are calls that have another name elsewhere.
var archCalls = []call{{"fstatat", unix.SYS_FSTATAT}}
