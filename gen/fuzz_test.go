package gen

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"testing"

	"github.com/xdpstack/xdpstack/ethernet"
)

// FuzzParseStream: any text gives a stream whose packets are as long as they say and have right checksums, or mistakes.
func FuzzParseStream(f *testing.F) {
	for _, spec := range []string{
		"udp,src=10.0.0.1-10.0.0.254,dst=10.1.0.1,sport=1024-65535,dport=9,size=64",
		"vlan=7/ipv4,ttl=3/tcp,flags=syn,dport=80/payload,text=\"hello, world\"",
		"vxlan=random/arp,tpa=random:10.0.0.0/8,size=imix", "icmp,seq=1-9/2,size=64:7,594:4",
		"udp,checksum=good/vxlan/tcp,mss=1,ts=2,sack=on,ws=3,flags=syn+ack,vary=nested,seed=3", "udp/payload,u8@0=1,2,u32@4=random,len=99",
	} {
		f.Add(spec)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		s, err := ParseStream(spec)
		if err != nil {
			if err.Error() == "" {
				t.Fatal("mistakes without a word")
			}
			return
		}
		s.Targets()
		p, err := Compile([]Stream{s}, testOptions)
		if err != nil {
			return
		}
		b := make([]byte, p.MaxLen())
		for range 5 {
			n := p.Next(b, 1)
			if n < MinLen || n > p.MaxLen() {
				t.Fatalf("a packet of %d bytes, the longest has %d", n, p.MaxLen())
			}
			if wrong := verify(b[:n]); wrong != "" && !bytes.Contains([]byte(spec), []byte("checksum=bad")) && usual(&s) {
				t.Fatalf("%s in %x", wrong, b[:n])
			}
			if _, ok := FindSignature(b[:n]); p.Signed() && !ok && usual(&s) {
				t.Fatalf("no signature in %x", b[:n])
			}
		}
	})
}

// usual reports whether a stream says only by its layers what is in its packets, so that a parser follows it.
func usual(s *Stream) bool {
	for i := range s.Layers {
		for _, f := range s.Layers[i].Fields {
			switch f.Name {
			case "type", "proto", "tpid", "dport":
				return false
			}
		}
	}
	return true
}

// FuzzProfile: any file gives a profile that compiles, or mistakes with a line.
func FuzzProfile(f *testing.F) {
	for _, name := range []string{"imix.toml", "tunnels.yaml", "mistakes.toml", "mistakes.yaml"} {
		data, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, name[len(name)-1] == 'l' && bytes.Contains(data, []byte("[[stream]]")))
	}
	f.Fuzz(func(t *testing.T, data []byte, isTOML bool) {
		name := "x.yaml"
		if isTOML {
			name = "x.toml"
		}
		p, err := ParseProfile(name, data)
		if err == nil && len(p.Streams) == 0 {
			t.Fatal("no streams and no mistake")
		}
		var m *Mistakes
		if errors.As(err, &m) {
			for _, x := range m.List {
				if x.Line < 1 || x.Text == "" {
					t.Fatalf("a mistake without a place: %+v", x)
				}
			}
		}
	})
}

// FuzzFindSignature: any packet is looked at within its bounds, and what is found is what was put there.
func FuzzFindSignature(f *testing.F) {
	p := compile(f, "vlan=7/udp", testOptions)
	b := make([]byte, p.MaxLen())
	f.Add(b[:p.Next(b, 7)])
	f.Add([]byte{12: 0x08, 13: 0, 17: 60})
	f.Fuzz(func(t *testing.T, packet []byte) {
		s, ok := FindSignature(packet)
		if !ok {
			return
		}
		var put [SignatureLen]byte
		PutSignature(put[:], s)
		if !bytes.Contains(packet, put[:]) || binary.BigEndian.Uint16(put[:]) != signatureMagic || len(packet) < ethernet.HeaderLen+SignatureLen {
			t.Fatalf("%+v is not in %x", s, packet)
		}
	})
}
