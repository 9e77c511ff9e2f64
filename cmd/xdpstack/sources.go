package main

import (
	"encoding/binary"
	"net/netip"

	"github.com/xdpstack/xdpstack/stack"
)

// sourcesOf returns the part of all source addresses that is a worker's: nobody else answers for these. Each gets as many as the others,
// in a row, give or take one.
func sourcesOf(all []stack.AddrRange, worker, workers int) (part []stack.AddrRange, err error) {
	total := uint64(0)
	for _, r := range all {
		first, last := endsOf(r)
		total += last - first + 1
	}
	if len(all) > 0 && total < uint64(workers) {
		return nil, usagef("--source has %d addresses, and each of %d workers needs one", total, workers)
	}
	from, to := total*uint64(worker)/uint64(workers), total*uint64(worker+1)/uint64(workers)
	for _, r := range all {
		first, last := endsOf(r)
		n := last - first + 1
		if from < n && to > 0 {
			part = append(part, stack.AddrRange{First: addrOf(first + from), Last: addrOf(first + min(to, n) - 1)})
		}
		from, to = from-min(from, n), to-min(to, n)
		if to == 0 {
			break
		}
	}
	return part, nil
}

// endsOf returns the first and the last address of a range as numbers.
func endsOf(r stack.AddrRange) (first, last uint64) {
	number := func(a netip.Addr) uint64 {
		b := a.As4()
		return uint64(binary.BigEndian.Uint32(b[:]))
	}
	if !r.Last.IsValid() {
		r.Last = r.First
	}
	return number(r.First), number(r.Last)
}

func addrOf(n uint64) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(n))
	return netip.AddrFrom4(b)
}
