package bpf

import "fmt"

// Counters says how many frames the program saw on all CPUs since it was loaded: each frame once, by what became of it and why.
type Counters struct {
	Redirected Redirected // to the socket of the frame's queue
	Passed     Passed     // to the kernel
	Dropped    Dropped    // nowhere
	Answered   Answered   // to where they came from, as an answer
}

// Redirected counts the frames for the stack.
type Redirected struct {
	ARP      uint64 `help:"ARP for an owned address"`
	TCP      uint64 `help:"TCP segments"`
	UDP      uint64 `help:"UDP datagrams"`
	ICMP     uint64 `help:"ICMP messages"`
	Protocol uint64 `help:"IPv4 packets of another protocol"`
	Fragment uint64 `help:"IPv4 fragments"`
	Other    uint64 `help:"any other frame, in whole-interface mode"`
	Cookie   uint64 `help:"TCP ACKs with which a SYN cookie came back to the shield"`
}

// Passed counts the frames for the kernel.
type Passed struct {
	NoSocket      uint64 `help:"frames of the stack on a queue without a socket"`
	ShortEthernet uint64 `help:"shorter than an Ethernet header"`
	ShortVLAN     uint64 `help:"ended within a VLAN tag"`
	DeepVLAN      uint64 `help:"more than two VLAN tags"`
	EtherType     uint64 `help:"neither ARP nor IPv4"`
	ShortARP      uint64 `help:"ended within the ARP packet"`
	BadARP        uint64 `help:"ARP, but not for IPv4 over Ethernet"`
	ARP           uint64 `help:"ARP for an address that is not owned"`
	ShortIP       uint64 `help:"ended within the IPv4 header or before the packet's length"`
	BadIP         uint64 `help:"impossible IPv4 version, header length or total length"`
	Address       uint64 `help:"IPv4 to an address that is not owned"`
	Fragment      uint64 `help:"IPv4 fragments to other ports, or before the first of their datagram, in shared-address mode"`
	Protocol      uint64 `help:"IPv4 packets neither TCP, UDP nor ICMP, in shared-address mode"`
	ShortPorts    uint64 `help:"packet ended within the ports, in shared-address mode"`
	Port          uint64 `help:"to a port that is not owned, in shared-address mode"`
	VLAN          uint64 `help:"ARP or IPv4 of another VLAN than the stack's, or with a tag where it is on none"`
	ICMP          uint64 `help:"ICMP that is no error about an owned port, in shared-address mode"`
}

// Dropped counts the frames that the program dropped.
type Dropped struct {
	BadSYN    uint64 `help:"dropped by the shield: SYNs that the stack would drop too"`
	BadCookie uint64 `help:"dropped by the shield: ACKs of no flow of the stack's, and no valid SYN cookie"`
	NoFlow    uint64 `help:"dropped by the shield: other TCP segments of no flow of the stack's"`

	Denied        uint64 `help:"dropped by the filter: packets of a denied source"`
	SourceSYNRate uint64 `help:"dropped by the filter: SYNs beyond the rate of their source"`
	SourceRate    uint64 `help:"dropped by the filter: packets beyond the rate of their source"`
}

// Answered counts the frames that the program answered itself.
type Answered struct {
	SYNCookie uint64 `help:"SYNs that the shield answered with a SYN cookie"`
}

// byReason says where the count of each reason of xdp_steer.h goes.
func (c *Counters) byReason() [steerReasonREASONS]*uint64 {
	r, p, d, a := &c.Redirected, &c.Passed, &c.Dropped, &c.Answered
	return [...]*uint64{
		steerReasonREDIRECT_ARP:         &r.ARP,
		steerReasonREDIRECT_TCP:         &r.TCP,
		steerReasonREDIRECT_UDP:         &r.UDP,
		steerReasonREDIRECT_ICMP:        &r.ICMP,
		steerReasonREDIRECT_PROTOCOL:    &r.Protocol,
		steerReasonREDIRECT_FRAGMENT:    &r.Fragment,
		steerReasonREDIRECT_OTHER:       &r.Other,
		steerReasonREDIRECT_COOKIE:      &r.Cookie,
		steerReasonPASS_NO_SOCKET:       &p.NoSocket,
		steerReasonPASS_SHORT_ETHERNET:  &p.ShortEthernet,
		steerReasonPASS_SHORT_VLAN:      &p.ShortVLAN,
		steerReasonPASS_DEEP_VLAN:       &p.DeepVLAN,
		steerReasonPASS_ETHERTYPE:       &p.EtherType,
		steerReasonPASS_SHORT_ARP:       &p.ShortARP,
		steerReasonPASS_BAD_ARP:         &p.BadARP,
		steerReasonPASS_ARP:             &p.ARP,
		steerReasonPASS_SHORT_IPV4:      &p.ShortIP,
		steerReasonPASS_BAD_IPV4:        &p.BadIP,
		steerReasonPASS_ADDRESS:         &p.Address,
		steerReasonPASS_FRAGMENT:        &p.Fragment,
		steerReasonPASS_PROTOCOL:        &p.Protocol,
		steerReasonPASS_SHORT_PORTS:     &p.ShortPorts,
		steerReasonPASS_PORT:            &p.Port,
		steerReasonPASS_VLAN:            &p.VLAN,
		steerReasonPASS_ICMP:            &p.ICMP,
		steerReasonDROP_BAD_SYN:         &d.BadSYN,
		steerReasonDROP_BAD_COOKIE:      &d.BadCookie,
		steerReasonDROP_NO_FLOW:         &d.NoFlow,
		steerReasonDROP_DENIED:          &d.Denied,
		steerReasonDROP_SOURCE_SYN_RATE: &d.SourceSYNRate,
		steerReasonDROP_SOURCE_RATE:     &d.SourceRate,
		steerReasonTX_SYN_COOKIE:        &a.SYNCookie,
	}
}

// Counters reads the counters. They go on while it reads: each is exact, their sum may be of slightly different moments.
func (p *Program) Counters() (Counters, error) {
	var c Counters
	var perCPU []uint64
	for reason, total := range c.byReason() {
		if err := p.objects.Counters.Lookup(uint32(reason), &perCPU); err != nil {
			return Counters{}, fmt.Errorf("bpf: read the counters: %w", err)
		}
		for _, n := range perCPU {
			*total += n
		}
	}
	return c, nil
}
