package bpf

import (
	"testing"
	"time"
)

// TestFragmentsOfOurPorts has fragments come in shared-address mode, one after another: each goes where the first of its datagram went.
func TestFragmentsOfOurPorts(t *testing.T) {
	const first, middle, last = moreFrags, moreFrags | 185, 370
	type fragment struct {
		id   uint16
		part uint16
		port uint16 // of the first
		want steerReason
	}
	const toUs, toKernel = steerReasonREDIRECT_FRAGMENT, steerReasonPASS_FRAGMENT
	for _, tt := range []struct {
		name      string
		fragments []fragment
	}{
		{"in order", []fragment{{1, first, ownedPort, toUs}, {1, middle, 0, toUs}, {1, last, 0, toUs}}},
		{"the kernel's", []fragment{{1, first, otherPort, toKernel}, {1, middle, 0, toKernel}, {1, last, 0, toKernel}}},
		{"mixed", []fragment{
			{1, first, ownedPort, toUs}, {2, first, otherPort, toKernel}, {2, middle, 0, toKernel}, {1, middle, 0, toUs},
			{2, last, 0, toKernel}, {1, last, 0, toUs},
		}},
		{"the last before the middle", []fragment{{1, first, ownedPort, toUs}, {1, last, 0, toUs}, {1, middle, 0, toUs}}},
		{"one before the first", []fragment{{1, last, 0, toKernel}, {1, first, ownedPort, toUs}, {1, middle, 0, toUs}}},
		{"twice", []fragment{{1, first, ownedPort, toUs}, {1, first, ownedPort, toUs}, {1, last, 0, toUs}, {1, last, 0, toUs}}},
		{"an id again", []fragment{{1, first, ownedPort, toUs}, {1, last, 0, toUs}, {1, first, otherPort, toKernel}, {1, last, 0, toKernel}}},
	} {
		for _, proto := range []uint8{protoTCP, protoUDP} {
			t.Run(tt.name, func(t *testing.T) {
				p := load(t, Config{Mode: SharedAddress})
				setSocket(t, p, 0)
				for i, f := range tt.fragments {
					packet := ipv4{to: ours, proto: proto, id: f.id, fragment: f.part, payload: segment(f.port)}
					if got := reasonOf(t, p, ethernet(etherIPv4, packet.bytes())); got != f.want {
						t.Errorf("protocol %d, fragment %d: reason %d, want %d", proto, i, got, f.want)
					}
				}
			})
		}
	}
}

// TestFragmentsOfOthers has later fragments that have not all in common with the first one.
func TestFragmentsOfOthers(t *testing.T) {
	p := load(t, Config{Mode: SharedAddress})
	setSocket(t, p, 0)
	begin := func() {
		t.Helper()
		forget(t, p)
		packet := ipv4{to: ours, proto: protoUDP, id: 7, fragment: moreFrags, payload: segment(ownedPort)}
		if got := reasonOf(t, p, ethernet(etherIPv4, packet.bytes())); got != steerReasonREDIRECT_FRAGMENT {
			t.Fatalf("the first one: reason %d", got)
		}
	}
	later := ethernet(etherIPv4, ipv4{to: ours, proto: protoUDP, id: 7, fragment: 3, payload: segment(0)}.bytes())
	begin()
	for name, tt := range map[string]struct {
		frame []byte
		want  steerReason
	}{
		"the same":            {later, steerReasonREDIRECT_FRAGMENT},
		"another source":      {with(later, 14+15, 99), steerReasonPASS_FRAGMENT},
		"another destination": {with(later, 14+19, 99), steerReasonPASS_FRAGMENT},
		"another id":          {with(later, 14+5, 8), steerReasonPASS_FRAGMENT},
		"another protocol":    {with(later, 14+9, protoTCP), steerReasonPASS_FRAGMENT},
		"ICMP":                {with(later, 14+9, protoICMP), steerReasonPASS_ICMP},
	} {
		if got := reasonOf(t, p, tt.frame); got != tt.want {
			t.Errorf("%s: reason %d, want %d", name, got, tt.want)
		}
	}
	key := steerDatagram{}
	if err := p.objects.Datagrams.NextKey(nil, &key); err != nil {
		t.Fatal(err)
	}
	var came uint64
	if err := p.objects.Datagrams.Lookup(&key, &came); err != nil {
		t.Fatal(err)
	}
	came -= uint64(3 * time.Second)
	if err := p.objects.Datagrams.Put(&key, came); err != nil {
		t.Fatal(err)
	}
	if got := reasonOf(t, p, later); got != steerReasonPASS_FRAGMENT {
		t.Errorf("long after the first one: reason %d", got)
	}
	begin()
	if got := reasonOf(t, p, later); got != steerReasonREDIRECT_FRAGMENT {
		t.Errorf("after another first one: reason %d", got)
	}
	// More datagrams than are remembered: the newest are.
	for id := range uint16(3 * maxDatagrams) {
		packet := ipv4{to: ours, proto: protoUDP, id: id, fragment: moreFrags, payload: segment(ownedPort)}
		if _, _, err := p.Test(ethernet(etherIPv4, packet.bytes()), 0); err != nil {
			t.Fatal(err)
		}
	}
	newest := ipv4{to: ours, proto: protoUDP, id: 3*maxDatagrams - 1, fragment: 3, payload: segment(0)}
	if got := reasonOf(t, p, ethernet(etherIPv4, newest.bytes())); got != steerReasonREDIRECT_FRAGMENT {
		t.Errorf("with the memory full: reason %d", got)
	}
}

// reasonOf runs the program on a frame and returns what it was counted under.
func reasonOf(t *testing.T, p *Program, frame []byte) steerReason {
	t.Helper()
	before, err := p.Counters()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.Test(frame, 0); err != nil {
		t.Fatal(err)
	}
	after, err := p.Counters()
	if err != nil {
		t.Fatal(err)
	}
	old := before.byReason()
	for reason, n := range after.byReason() {
		if n != nil && *n != *old[reason] {
			return steerReason(reason)
		}
	}
	t.Fatal("it was not counted")
	return 0
}
