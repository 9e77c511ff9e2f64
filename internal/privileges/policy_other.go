//go:build !amd64 && !arm64

package privileges

// auditArch says that there is no filter.
const auditArch = 0

var archCalls []call
