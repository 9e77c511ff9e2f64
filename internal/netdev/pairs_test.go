package netdev

import "testing"

func TestPairs(t *testing.T) {
	queues := []Queue{
		{Ifindex: 2, ID: 0, Type: Receive, NAPI: 10}, {Ifindex: 2, ID: 1, Type: Receive, NAPI: 11}, {Ifindex: 2, ID: 2, Type: Receive},
		{Ifindex: 2, ID: 0, Type: Transmit, NAPI: 10}, {Ifindex: 2, ID: 1, Type: Transmit, NAPI: 12},
	}
	napis := []NAPI{{ID: 12, IRQ: 32}, {ID: 10, IRQ: 30}} // the second came too late to be told
	all := pair(queues, napis)
	if len(all) != 3 {
		t.Fatalf("%+v, want three pairs", all)
	}
	if p := all[0]; !p.Shared() || p.Receive.IRQ != 30 || p.Transmit.IRQ != 30 {
		t.Errorf("the first pair, of one NAPI: %+v", p)
	}
	if p := all[1]; p.Shared() || p.Receive.ID != 11 || p.Receive.IRQ != Unknown || p.Transmit.IRQ != 32 {
		t.Errorf("the second, of two, of which one is not told of: %+v", p)
	}
	if p := all[2]; p.Shared() || p.Receive.ID != 0 || p.Transmit.ID != 0 || p.Receive.NAPISettings != Unchanged() {
		t.Errorf("the third, of which nothing is told: %+v", p)
	}
	if none := pair(nil, napis); none != nil {
		t.Errorf("without queues: %+v", none)
	}
}
