package gen

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestParseStreamMistakes(t *testing.T) {
	for _, c := range []struct {
		spec string
		want []string // mistakes, each with its column
	}{
		{"", []string{`1 no layer ""; expected one of eth, vlan, svlan, arp, ipv4, udp, tcp, icmp, vxlan, payload`}},
		{"upd", []string{`1 no layer "upd" (did you mean udp?)`}},
		{"udp,src=10.0.0.300", []string{`9 ipv4.src: expected an IPv4 address such as 10.0.0.1, got "10.0.0.300"`}},
		{"udp,src=10.0.0.1-10.0.0.x", []string{`18 ipv4.src: expected an IPv4 address such as 10.0.0.1, got "10.0.0.x"`}},
		{"udp,src=10.0.0.9-10.0.0.1", []string{`9 ipv4.src: the range "10.0.0.9-10.0.0.1" ends before it begins`}},
		{"udp,src=10.0.0.1/24", []string{`9 ipv4.src: 10.0.0.1 is an address of 10.0.0.0/24: expected one or the other, without or with zeros behind the prefix`}},
		{"udp,src=random", []string{`9 ipv4.src: random of which addresses? Expected a range or a prefix, such as random:10.0.0.0/8`}},
		{"udp,sport=1-9/0", []string{`15 udp.sport: expected a step of at least 1 behind the /, got "0"`}},
		{"udp,sport=70000", []string{`11 udp.sport: expected a number from 0 to 65535, got "70000"`}},
		{"udp,sport=9,df", []string{`13 udp.sport: expected a number from 0 to 65535, got "df"`}},
		{"udp,df", []string{`5 udp: expected FIELD=VALUE, got "df"`}},
		{"udp=9", []string{`1 udp: has no field that a value right behind it could be for: expected ,FIELD=VALUE`}},
		{"udp,flags=syn", []string{`5 udp: no field "flags": tcp has one`}},
		{"udp,spot=9", []string{`5 udp: no field "spot" (did you mean sport?)`}},
		{"udp,sport=1,sport=2", []string{`13 udp.sport: is given twice`}},
		{"udp,size=64,size=65", []string{`13 size: is given twice`}},
		{"udp,checksum=wrong", []string{`14 udp.checksum: expected good, bad or none, got "wrong"`}},
		{"tcp,checksum=none", []string{`14 tcp.checksum: expected good or bad, got "none"`}},
		{"tcp,flags=syn+akc", []string{`11 tcp.flags: expected names of flags joined by + (fin syn rst psh ack urg ece cwr), none, or a number up to 255, got "syn+akc"`}},
		{"tcp,mss=1-2", []string{`9 tcp.mss: expected one value: it does not vary`}},
		{"udp,smac=02:00:00:00:00", []string{`10 eth.src: expected a MAC address such as 02:00:00:00:00:01, got "02:00:00:00:00"`}},
		{"udp/tcp", []string{`5 tcp: cannot follow udp: expected it behind ipv4`}},
		{"arp/payload,fill=1", []string{`5 payload: cannot follow arp: expected it behind eth, vlan, svlan, ipv4, udp, tcp or icmp`}},
		{"vlan=1/vlan=2/vlan=3/udp", []string{`1 vlan: more than two tags in a row`}},
		{"vxlan=7", []string{`1 vxlan: expected a layer inside, such as vxlan/udp`}},
		{"vxlan/vxlan/udp", []string{`1 vxlan: a tunnel in a tunnel: expected one vxlan at most`}},
		{"udp,tos=1,dscp=3", []string{`16 ipv4.dscp: contradicts tos: expected one of the two`}},
		{"ipv4,proto=6/udp", []string{`12 ipv4.proto: contradicts the next layer, udp, which says it`}},
		{"vlan=1-9,prio=1-2", []string{`15 vlan.prio: and id lie in the same bytes: at most one of them may vary`}},
		{"udp,size=63", []string{`10 size: expected at least 64 bytes, the 4 of the frame check sequence counted, got 63`}},
		{"tcp,mss=1,ts=1,size=64", []string{`21 size: 64 is smaller than the headers (70), the payload (0) and the frame check sequence (4)`}},
		{"udp,size=64:0", []string{`13 size: expected SIZE:WEIGHT with a weight from 1 to 4096, got "64:0"`}},
		{"udp,size=64:1,9:1", []string{`15 size: expected SIZE:WEIGHT with a size from 64 to 65561, got "9:1"`}},
		{"vlan=1/udp,size=64,signature=on", []string{`30 signature: does not fit: size 64 has 14 bytes left for it, expected at least 16`}},
		{"arp,signature=on", []string{`15 signature: an arp packet has no room for a signature`}},
		{"udp,vary=odd,weight=0,seed=x,signature=maybe", []string{
			`10 vary: expected together or nested, got "odd"`,
			`21 weight: expected a number from 1 to 1048576, got "0"`,
			`28 seed: expected a number, got "x"`,
			`40 signature: expected auto, on or off, got "maybe"`,
		}},
		{`udp/payload,text="a,b/udp`, []string{`18 a quote that does not end: expected another one`}},
		{"udp/payload,hex=123", []string{`17 payload.hex: expected pairs of hexadecimal digits, got "123"`}},
		{"udp/payload,text=a,fill=3", []string{`25 payload.fill: contradicts text: expected one of the two`}},
		{"udp/payload,len=9,size=64", []string{`17 payload.len: contradicts size: expected one of the two`}},
		{"udp/payload,u16@3=1,size=64,signature=on", []string{`19 payload.u16@3: ends at byte 5 of a payload of 2`}},
		{"udp,size=64/payload,u8@0=1-2,u16@0=1-2", []string{`36 payload.u16@0: and u8@0 lie in the same bytes: at most one of them may vary`}},
	} {
		_, err := ParseStream(c.spec)
		var m *Mistakes
		if !errors.As(err, &m) {
			t.Errorf("%s: got %v, want mistakes %q", c.spec, err, c.want)
			continue
		}
		var got []string
		for _, x := range m.List {
			got = append(got, strings.TrimSpace(strings.Join([]string{strconv.Itoa(x.Column), x.String()}, " ")))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", c.spec, got, c.want)
		}
	}
	want := "udp.sport: expected a number from 0 to 65535, got \"x\"\n    udp,sport=x\n              ^"
	if _, err := ParseStream("udp,sport=x"); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
