// Package addrset has sets of IPv4 addresses that are kept as ranges: a set of 65,536 addresses in one prefix takes as much memory as one
// of a single address, and is searched as fast. A stack has the addresses of its own in one, beside its first.
//
// A set does not change once it is made, so that any goroutine may use it.
package addrset
