package bpf

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/cilium/ebpf"
)

// Offender is a source whose packets the filter drops. Its counts begin with the packet that it was found by, one of its first ones, and
// are lost when very many others have come after it.
type Offender struct {
	Source  netip.Addr
	Dropped Dropped
	Last    int64 // when the last one was dropped: CLOCK_MONOTONIC, in ns
}

// Total returns how many packets of the source were dropped.
func (o *Offender) Total() uint64 {
	return o.Dropped.Denied + o.Dropped.SourceSYNRate + o.Dropped.SourceRate
}

// Offenders returns the n sources of which the filter dropped most, the worst first; with n 0 all that it knows of.
func (p *Program) Offenders(n int) ([]Offender, error) {
	if err := p.checkFilter(); err != nil {
		return nil, err
	}
	known := map[netip.Addr]Offender{} // a source may be met twice
	var key [4]byte
	var value steerOffender
	each := p.objects.Offenders.Iterate()
	for each.Next(&key, &value) {
		source := netip.AddrFrom4(key)
		known[source] = Offender{
			Source:  source,
			Dropped: Dropped{Denied: value.Denied, SourceSYNRate: value.Syns, SourceRate: value.Packets},
			Last:    int64(value.Last),
		}
	}
	// Under a flood from many sources the one that is read last may be gone before the next is asked for. What was read is good.
	if err := each.Err(); err != nil && !errors.Is(err, ebpf.ErrIterationAborted) {
		return nil, fmt.Errorf("bpf: read the filter's offenders: %w", err)
	}
	all := slices.Collect(maps.Values(known))
	slices.SortFunc(all, func(a, b Offender) int {
		return cmp.Or(cmp.Compare(b.Total(), a.Total()), a.Source.Compare(b.Source))
	})
	if n > 0 && len(all) > n {
		all = all[:n]
	}
	return all, nil
}
