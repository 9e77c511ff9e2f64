package tcp

import (
	"encoding/binary"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// Keys is the secret of a stack. Everything that a stranger must not guess is derived from it and the flow: initial sequence
// numbers, timestamp offsets, SYN cookies, places in hash tables.
type Keys struct{ k0, k1 uint64 }

// What a value is derived for; part of the hashed message, so that no value says anything about another.
const (
	purposeISN = iota + 1
	purposeTimestamp
	purposeCookie
	purposeChallenge
	purposeFastOpen
	purposeCookieCache
)

// NewKeys makes keys of 16 random bytes.
func NewKeys(secret [16]byte) Keys {
	return Keys{binary.LittleEndian.Uint64(secret[:8]), binary.LittleEndian.Uint64(secret[8:])}
}

// derive returns 32 bits that depend on the flow, the purpose and extra: SipHash-2-4.
func (k *Keys) derive(f Flow, purpose uint8, extra uint64) uint32 {
	a, b := f.words()
	return uint32(sip24(k.k0, k.k1, a, b|uint64(purpose)<<32, extra))
}

// Hash returns the flow's place in hash tables: 32 bits, SipHash-1-3.
func (k *Keys) Hash(f Flow) uint32 { return f.Hash(k.k0, k.k1) }

// ISN returns the initial sequence number for a connection that begins now: a clock that ticks each 4 microseconds plus a keyed
// hash of the flow (RFC 6528 section 3). One flow's numbers grow with time, so that an old duplicate is not taken for new; those
// of different flows tell nothing about each other.
func (k *Keys) ISN(f Flow, now clock.Time) Seq {
	const tick = 4000 // nanoseconds
	return Seq(uint32(now/tick) + k.derive(f, purposeISN, 0))
}

// TimestampOffset returns what a flow adds to the clock in its timestamps, so that they do not tell how long the host is up. It is
// the same for all connections of one flow: a new one must not seem older than its predecessor (RFC 7323 section 5.4, RFC 6191).
func (k *Keys) TimestampOffset(f Flow) uint32 { return k.derive(f, purposeTimestamp, 0) }
