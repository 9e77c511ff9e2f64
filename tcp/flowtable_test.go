package tcp

import (
	"math/rand/v2"
	"testing"
)

// TestFlowTableGrowsInSteps adds and removes records at random, and compares with a map: no addition moves more than the few records of
// one bucket, however many there are, and those that have an index keep it.
func TestFlowTableGrowsInSteps(t *testing.T) {
	keys := NewKeys([16]byte{1, 2, 3})
	const limit = 100_000
	table := newFlowTable[uint32](&keys, nil, limit)
	rnd := rand.New(rand.NewPCG(5, 6))
	model := make(map[Flow]uint32)
	var flows []Flow
	check := func(f Flow) {
		want, there := model[f]
		got := table.find(f)
		if !there && got != none || there && (got != want || table.at(got).flow != f) {
			t.Fatalf("of %d records, that of %v is %d, want %d (%v)", table.n, f, got, want, there)
		}
	}
	most := 0
	for table.n < limit {
		f := Flow{RemoteAddr: [4]byte{10, byte(rnd.Uint32()), byte(rnd.Uint32()), byte(rnd.Uint32())}, RemotePort: uint16(rnd.Uint32())}
		check(f)
		if _, there := model[f]; there {
			continue
		}
		moved := table.moved
		i := table.add(f)
		most = max(most, table.moved-moved)
		model[f] = i
		flows = append(flows, f)
		check(flows[rnd.IntN(len(flows))])
		if rnd.IntN(4) == 0 {
			k := rnd.IntN(len(flows))
			f := flows[k]
			table.remove(model[f])
			delete(model, f)
			flows[k] = flows[len(flows)-1]
			flows = flows[:len(flows)-1]
			check(f)
		}
		if table.n != len(flows) {
			t.Fatalf("%d records, want %d", table.n, len(flows))
		}
	}
	if most > 16 {
		t.Errorf("an addition moved %d records", most)
	}
	for _, f := range flows {
		check(f)
	}
	if i := table.add(Flow{}); i != none {
		t.Errorf("record %d is beyond the limit", i)
	}
	for _, f := range flows {
		table.remove(model[f])
	}
	if table.n != 0 {
		t.Errorf("%d records are left", table.n)
	}
}
