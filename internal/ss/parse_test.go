package ss

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/stack"
	"github.com/xdpstack/xdpstack/tcp"
)

// some are connections that filters choose from, by names.
var some = map[string]*stack.ConnInfo{
	"web": {
		Kind: stack.KindConn, State: tcp.StateEstablished, Local: netip.MustParseAddrPort("10.0.0.1:80"),
		Remote: netip.MustParseAddrPort("10.1.2.3:40000"), SendQueue: 5000,
		Info: tcp.Info{RTT: 20 * time.Millisecond, CWnd: 14600, SendMSS: 1460},
	},
	"ssh": {
		Kind: stack.KindConn, State: tcp.StateCloseWait, Local: netip.MustParseAddrPort("10.0.0.1:22"),
		Remote: netip.MustParseAddrPort("192.0.2.9:1022"), Shard: 1, Info: tcp.Info{Resent: 3},
	},
	"out":    {Kind: stack.KindConn, State: tcp.StateSynSent, Local: netip.MustParseAddrPort("10.0.0.2:33000"), Remote: netip.MustParseAddrPort("192.0.2.1:80")},
	"listen": {Kind: stack.KindListener, State: tcp.StateListen, Local: netip.MustParseAddrPort("0.0.0.0:80"), Shard: -1},
	"udp":    {Kind: stack.KindUDP, State: tcp.StateClosed, Local: netip.MustParseAddrPort("0.0.0.0:53"), Shard: -1},
}

func TestFilter(t *testing.T) {
	services := func(name string) (uint16, bool) { return 1022, name == "exotic" }
	for _, tt := range []struct{ filter, want string }{
		{"", "listen out ssh udp web"},
		{"dst 10.0.0.0/8", "web"},
		{"dst = 10.1.2.3", "web"},
		{"dst != 10.1.2.3", "listen out ssh udp"},
		{"src 10.0.0.1:80", "web"},
		{"src 10.0.0.1:*", "ssh web"},
		{"src *:80", "listen web"},
		{"src :80", "listen web"},
		{"src *", "listen out ssh udp web"},
		{"dport = :http", "out"},
		{"dport = HTTP", "out"},
		{"dport 80", "out"},
		{"dport = :exotic", "ssh"},
		{"sport >= :1024", "out"},
		{"sport ge 80 and sport lt 1024", "listen web"},
		{"sport >= :80 sport < :1024", "listen web"}, // next to each other is and
		{"( dport = :http or sport >= :1024 ) and dst 192.0.0.0/8", "out"},
		{"(dport=:http|sport>=:1024)&dst 192.0.0.0/8", "out"},
		{"dport = :http or sport = :22 and dst 10.0.0.0/8", "out"}, // and binds closer
		{"not dst 10.0.0.0/8 and not sport = :80", "out ssh udp"},
		{"!dst 10.0.0.0/8 && !(sport=:80||dport=:80)", "ssh udp"},
		{"dport != :80", "ssh web"}, // what has no peer has no port of it
		{"state established", "web"},
		{"state established state close-wait", "ssh web"},
		{"state connected", "out ssh web"},
		{"state synchronized", "ssh web"},
		{"exclude listening exclude closed", "out ssh web"},
		{"state all exclude connected", "listen udp"},
		{"STATE Established DST 10.0.0.0/8", "web"},
		{"exclude all", ""},
		{"rtt > 10ms", "web"},
		{"rtt > 10 rtt < 30", "web"},
		{"send-q >= 5k", "web"},
		{"cwnd = 10", "web"},
		{"retrans > 0 or shard = 1", "ssh"},
	} {
		f, err := Parse(tt.filter, services)
		if err != nil {
			t.Errorf("%q: %v", tt.filter, err)
			continue
		}
		for range 2 {
			if got := chosen(f); got != tt.want {
				t.Errorf("%q, which is %q: %q, want %q", tt.filter, f, got, tt.want)
			}
			again, err := Parse(f.String(), nil) // says the same, without the names
			if err != nil || again.String() != f.String() {
				t.Fatalf("%q is %q, which is %q: %v", tt.filter, f, again, err)
			}
			f = again
		}
	}
}

func chosen(f *Filter) string {
	var names []string
	for _, name := range []string{"listen", "out", "ssh", "udp", "web"} {
		if c := some[name]; f.States(StatesAll)&oneState(c.State) != 0 && f.Match(c) {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

func TestFilterErrors(t *testing.T) {
	for _, tt := range []struct {
		filter string
		at     int
		says   string
	}{
		{"dport", 5, "want a port from 0 to 65535, not the end"},
		{"dport = :99999", 8, "want a port"},
		{"dport = :gopherx", 8, `no service is called "gopherx"`},
		{"dport > ", 8, "want a port"},
		{"dst", 3, "want an address"},
		{"dst 10.0.0.300", 4, "IPv4 address"},
		{"dst 10.0.0.0/33", 4, "IPv4 network"},
		{"dst 2001:db8::1", 4, "IPv4 addresses only"},
		{"dst 10.0.0.1:99999", 13, "want a port"},
		{"dst > 10.0.0.1", 6, "only compared with = and !="},
		{"( dport = :80", 13, `want ")" for the "(" at character 1, not the end`},
		{"dport = :80 )", 12, `want "and", "or" or the end, not ")"`},
		{"dport = :80 and", 15, "want src, dst"},
		{"dport = :80 or or", 15, `not "or"`},
		{"port = :80", 0, `want src, dst, sport, dport, or a number such as rtt, not "port"`},
		{"state open", 6, `no state is called "open"`},
		{"state", 5, "no state is called the end"},
		{"dport = :80 state established", 12, "want src, dst"},
		{"rtt 10ms", 4, "want a comparison of rtt"},
		{"rtt > fast", 6, "want a duration"},
		{"send-q > -1", 9, "want a whole number"},
		{"send-q > 99999999999g", 9, "want a whole number"},
		{strings.Repeat("(", 100), maxNested, "nested"},
		{"dst \x00", 4, "a character that no filter has"},
		{strings.Repeat("dst * ", 1000), 0, "longer than"},
	} {
		_, err := Parse(tt.filter, nil)
		var e *SyntaxError
		if !errors.As(err, &e) || e.At != tt.at || !strings.Contains(e.What, tt.says) {
			t.Errorf("%q: %v; want %q at %d", tt.filter, err, tt.says, tt.at)
		}
	}
	_, err := Parse("dst 10.0.0.1 plus dport 80", nil)
	want := "filter, at character 14: want src, dst, sport, dport, or a number such as rtt, not \"plus\"\n" +
		"  dst 10.0.0.1 plus dport 80\n               ^"
	if err == nil || err.Error() != want {
		t.Errorf("%v\nwant\n%s", err, want)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"( dport = :http or sport >= :1024 ) and dst 10.0.0.0/8", "state established exclude closed !src *:80|rtt>1.5ms",
		"not not (dst 10.0.0.1:80)", "send-q>=64k&&retrans!=0||shard eq 1", "dst 10.0.0.0/8:https", "exclude all",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := Parse(text, nil)
		if err != nil {
			var e *SyntaxError
			if !errors.As(err, &e) || e.At < 0 || e.At > len(e.Text) {
				t.Fatalf("%q: %#v", text, err)
			}
			return
		}
		for _, c := range some {
			parsed.Match(c)
		}
		canonical := parsed.String()
		again, err := Parse(canonical, nil)
		if err != nil && len(canonical) <= maxFilter && !strings.Contains(err.Error(), "nested") { // it has all parentheses
			t.Fatalf("%q is %q: %v", text, canonical, err)
		}
		if err == nil && (again.String() != canonical || chosen(again) != chosen(parsed)) {
			t.Fatalf("%q is %q, which is %q", text, canonical, again)
		}
	})
}

func TestNames(t *testing.T) {
	n := readNames(strings.NewReader("# comment\nhttp\t80/tcp www # web\ndomain 53/udp\nbad\nbad x/tcp\nbad 70000/tcp\nhttp 80/udp\n"))
	if p, ok := n.Port("WWW"); !ok || p != 80 {
		t.Errorf("www is %d", p)
	}
	if _, ok := n.Port("bad"); ok {
		t.Error("a line that is wrong counts")
	}
	for port, want := range map[string]string{"80": "http", "53": "53", "*": "*"} {
		if got := n.Name(port, "tcp"); got != want {
			t.Errorf("%s is %q", port, got)
		}
	}
}
