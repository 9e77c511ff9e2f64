package bpf

import (
	"testing"
)

// TestErrorsAboutOurPackets has ICMP messages come in shared-address mode: those that quote a packet from an owned port are the stack's.
func TestErrorsAboutOurPackets(t *testing.T) {
	p := load(t, Config{Mode: SharedAddress})
	setSocket(t, p, 0)
	message := func(options int, payload []byte) []byte {
		return ethernet(etherIPv4, ipv4{to: ours, proto: protoICMP, options: options, payload: payload}.bytes())
	}
	tcpQuote, udpQuote := quoted(protoTCP, ours, ownedPort, 0), quoted(protoUDP, ours, ownedPort, 0)
	const yes, no = steerReasonREDIRECT_ICMP, steerReasonPASS_ICMP
	for name, tt := range map[string]struct {
		frame []byte
		want  steerReason
	}{
		"unreachable, TCP":              {message(0, icmp(3, tcpQuote)), yes},
		"unreachable, UDP":              {message(0, icmp(3, udpQuote)), yes},
		"time exceeded":                 {message(0, icmp(11, tcpQuote)), yes},
		"parameter problem":             {message(0, icmp(12, tcpQuote)), yes},
		"source quench":                 {message(0, icmp(4, tcpQuote)), no}, // RFC 6633
		"redirect":                      {message(0, icmp(5, tcpQuote)), no},
		"echo request":                  {message(0, icmp(8, tcpQuote)), no},
		"echo reply":                    {message(0, icmp(0, tcpQuote)), no},
		"options outside":               {message(12, icmp(3, tcpQuote)), yes},
		"options inside":                {message(0, icmp(3, quoted(protoTCP, ours, ownedPort, 40))), yes},
		"options in both":               {message(40, icmp(3, quoted(protoUDP, ours, ownedPort, 4))), yes},
		"another port":                  {message(0, icmp(3, quoted(protoTCP, ours, otherPort, 0))), no},
		"another address":               {message(0, icmp(3, quoted(protoTCP, theirs, ownedPort, 0))), no},
		"SCTP":                          {message(0, icmp(3, quoted(protoSCTP, ours, ownedPort, 0))), no},
		"about a ping":                  {message(0, icmp(3, quoted(protoICMP, ours, ownedPort, 0))), no},
		"about a later fragment":        {message(0, icmp(3, with(tcpQuote, 7, 1))), no},
		"about a first fragment":        {message(0, icmp(3, with(tcpQuote, 6, 0x20))), yes},
		"quotes version 6":              {message(0, icmp(3, with(tcpQuote, 0, 0x65))), no},
		"quotes a header of 16":         {message(0, icmp(3, with(tcpQuote, 0, 0x44))), no},
		"quotes just the ports":         {message(0, icmp(3, tcpQuote[:24])), yes},
		"ends within the ports":         {message(0, icmp(3, tcpQuote[:23])), no},
		"ends within the quoted":        {message(0, icmp(3, tcpQuote[:12])), no},
		"ends within quoted options":    {message(0, icmp(3, quoted(protoTCP, ours, ownedPort, 40)[:40])), no},
		"nothing quoted":                {message(0, icmp(3, nil)), no},
		"nothing":                       {message(0, nil), no},
		"the ports in the padding only": {append(message(0, icmp(3, tcpQuote[:20])), tcpQuote[20:]...), no},
	} {
		t.Run(name, func(t *testing.T) {
			if got := oracle(SharedAddress, tt.frame); got != tt.want {
				t.Errorf("the oracle says %d, not %d", got, tt.want)
			}
			check(t, p, tt.frame, 0, tt.want)
		})
	}
}

// TestVLAN runs the program for a VLAN on frames of that, of others and of none.
func TestVLAN(t *testing.T) {
	const vlan = 100 // which the helper ethernet puts into the outermost tag
	ip := ipv4{to: ours, proto: protoTCP, payload: segment(ownedPort)}.bytes()
	for _, mode := range allModes {
		p := load(t, Config{Mode: mode, VLAN: vlan})
		setSocket(t, p, 0)
		for name, frame := range map[string][]byte{
			"ours":                   ethernet(etherIPv4, ip, etherVLAN),
			"ours, with a priority":  with(ethernet(etherIPv4, ip, etherVLAN), 14, 0xe0),
			"another":                with(ethernet(etherIPv4, ip, etherVLAN), 15, 101),
			"another, above 8 bits":  with(ethernet(etherIPv4, ip, etherVLAN), 14, 0x01),
			"none":                   ethernet(etherIPv4, ip),
			"a priority only":        with(ethernet(etherIPv4, ip, etherVLAN), 15, 0),
			"a service tag":          ethernet(etherIPv4, ip, etherQinQ),
			"two tags":               ethernet(etherIPv4, ip, etherQinQ, etherVLAN),
			"ours, and another tag":  ethernet(etherIPv4, ip, etherVLAN, etherVLAN),
			"ARP":                    ethernet(etherARP, arp(1, theirs, ours), etherVLAN),
			"ARP without a tag":      ethernet(etherARP, arp(1, theirs, ours)),
			"IPv6":                   ethernet(etherIPv6, make([]byte, 40), etherVLAN),
			"ends within the tag":    ethernet(etherIPv4, ip, etherVLAN)[:17],
			"ends within the packet": ethernet(etherIPv4, ip, etherVLAN)[:30],
		} {
			t.Run(mode.String()+"/"+name, func(t *testing.T) { check(t, p, frame, 0, oracleIn(mode, vlan, frame)) })
		}
	}
	p := load(t, Config{VLAN: vlan})
	setSocket(t, p, 0)
	check(t, p, ethernet(etherIPv4, ip, etherVLAN), 0, steerReasonREDIRECT_TCP)
	check(t, p, ethernet(etherIPv4, ip), 0, steerReasonPASS_VLAN)
	check(t, p, ethernet(etherIPv4, ip, etherVLAN, etherVLAN), 0, steerReasonPASS_VLAN)
	if _, err := Load(Config{VLAN: 4095}); err == nil {
		t.Error("VLAN 4095 was accepted")
	}
}
