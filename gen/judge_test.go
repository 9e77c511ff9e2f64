package gen

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// judge has an independent parser read a packet and verify its checksums.
func judge(t *testing.T, packet []byte) gopacket.Packet {
	t.Helper()
	p := gopacket.NewPacket(packet, layers.LayerTypeEthernet, gopacket.Default)
	if e := p.ErrorLayer(); e != nil && !unknown(e.Error().Error()) {
		t.Fatalf("%v in\n%s", e.Error(), p.Dump())
	}
	var ip gopacket.NetworkLayer
	for _, l := range p.Layers() {
		switch l := l.(type) {
		case *layers.IPv4:
			ip = l
		case interface {
			SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
		}:
			if err := l.SetNetworkLayerForChecksum(ip); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err, mismatches := p.VerifyChecksums(); err != nil || len(mismatches) > 0 {
		t.Fatalf("%v %+v in\n%s", err, mismatches, p.Dump())
	}
	if wrong := verify(packet); wrong != "" {
		t.Fatalf("%s in\n%s", wrong, p.Dump())
	}
	return p
}

// unknown reports whether the parser has no name for what follows.
func unknown(text string) bool {
	return strings.HasPrefix(text, "Unable to decode EthernetType") || text == "Layer type not currently supported"
}

// verify computes every checksum and length of the packet in the plainest way, and says which one is wrong.
func verify(b []byte) string {
	typ, off := binary.BigEndian.Uint16(b[12:]), 14
	for typ == 0x8100 || typ == 0x88a8 {
		typ, off = binary.BigEndian.Uint16(b[off+2:]), off+4
	}
	if typ != 0x0800 {
		return ""
	}
	ip := b[off:]
	total := int(binary.BigEndian.Uint16(ip[2:]))
	if total > len(ip) || len(b) > 60 && total != len(ip) {
		return fmt.Sprintf("IPv4 length %d of %d", total, len(ip))
	}
	if plainSum(ip[:20]) != 0xffff {
		return "IPv4 checksum"
	}
	l4 := ip[20:total]
	pseudo := append(bytes.Clone(ip[12:20]), 0, ip[9], byte(len(l4)>>8), byte(len(l4)))
	switch ip[9] {
	case 1:
		if plainSum(l4) != 0xffff {
			return "ICMP checksum"
		}
	case 6:
		if plainSum(append(pseudo, l4...)) != 0xffff {
			return "TCP checksum"
		}
	case 17:
		if n := int(binary.BigEndian.Uint16(l4[4:])); n != len(l4) {
			return fmt.Sprintf("UDP length %d of %d", n, len(l4))
		}
		if binary.BigEndian.Uint16(l4[6:]) != 0 && plainSum(append(pseudo, l4...)) != 0xffff {
			return "UDP checksum"
		}
		if binary.BigEndian.Uint16(l4[2:]) == 4789 {
			if wrong := verify(l4[16:]); wrong != "" {
				return "inner " + wrong
			}
		}
	}
	return ""
}

// plainSum is the sum of RFC 1071.
func plainSum(b []byte) uint32 {
	var sum uint32
	for i, x := range b {
		sum += uint32(x) << (8 * (1 - i&1))
		sum = sum>>16 + sum&0xffff
	}
	return sum
}

// TestPackets has every packet of many streams judged.
func TestPackets(t *testing.T) {
	for _, spec := range []string{
		"udp",
		"udp,src=10.0.0.1-10.0.0.254,dst=10.1.0.1,sport=1024-65535,dport=9,size=64",
		"udp,src=random:10.0.0.0/8,dst=10.0.0.0/30,sport=random,dport=random:1-5,id=random,size=imix",
		"udp,size=random:64-1518,ttl=1-255,tos=random,sport=9,11,80",
		"udp,size=64-1518/7,dscp=0-63,ecn=3",
		"udp,checksum=none,sport=1024-1100",
		"udp,frag=100,mf=on,size=200,id=1-9",
		"vlan=7/udp,size=64",
		"vlan=1-4094,prio=5,dei=on/udp,size=68-72",
		"svlan=1-4094/vlan=random:1-4094/udp,sport=1-9,size=100",
		"vlan=5,prio=0-7/arp,tpa=10.0.0.1-10.0.0.254",
		"arp,op=reply,sha=random,tha=02:00:00:00:00:01-02:00:00:00:00:ff/3,size=128",
		"tcp,flags=syn,mss=1460,sack=on,ts=77,ws=7,seq=random,sport=1024-65535",
		"tcp,flags=syn+ack,rst,none,0x10,seq=0-4294967295/1460,ack=random,window=1-9,urgent=3,size=65-99",
		"tcp,ws=3/payload,text=hello",
		"icmp,seq=0-65535,id=7",
		"icmp,type=random,code=1-3,seq=random,size=80-90",
		"vxlan=1-1000/udp,src=10.0.0.1-10.0.0.254,sport=1024-65535,size=128",
		"udp,dport=4789,checksum=good,src=10.0.0.1-10.0.0.9/vxlan=random/vlan=3/tcp,src=random:1.0.0.0/8,seq=random,size=200-300",
		"udp,checksum=good,sport=random/vxlan=random/icmp,seq=random,size=101",
		"udp,checksum=good,sport=random/vxlan=1/arp,tpa=random:1.0.0.0/8,size=101",
		"eth,dst=random,src=02:00:00:00:00:01-02:00:00:00:00:03,type=1536-2000/payload,hex=0102,u8@0=1-9",
		"ipv4,id=random,src=random:1.0.0.0/8/payload,fill=0xff,size=100",
		"udp/payload,text=\"hello, world/x\",u8@1=random,u16@3=random,u32@5=1-999999/7",
		"udp,size=66-90/payload,random=5,u16@1=1-9",
		"udp,size=65/payload,fill=255,u8@0=random",
		"udp,vary=nested,src=10.0.0.1-10.0.0.3,sport=1-3,dport=1-7,size=64-68",
	} {
		t.Run(spec, func(t *testing.T) {
			p := compile(t, spec, testOptions)
			b := make([]byte, p.MaxLen())
			for i := range uint64(3000) {
				n := p.Next(b, mix(i))
				if n < MinLen || n > p.MaxLen() {
					t.Fatalf("packet %d has %d bytes, the longest is said to have %d", i, n, p.MaxLen())
				}
				if i < 200 {
					judge(t, b[:n])
				} else if wrong := verify(b[:n]); wrong != "" {
					t.Fatalf("packet %d: %s in %x", i, wrong, b[:n])
				}
				if s, ok := FindSignature(b[:n]); p.Signed() && (!ok || s.Sequence != uint32(i) || s.Time != mix(i)) {
					t.Fatalf("packet %d has signature %+v, %v", i, s, ok)
				}
			}
		})
	}
}
