package web

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/proxy"
	"github.com/xdpstack/xdpstack/internal/snapshot"
)

func TestLive(t *testing.T) {
	l := getJSON[Live](t, site(full()), "/live", 200)
	if l.Address != "192.0.2.10/24" || l.Interface != "eth0" || l.Open != 5 || !l.Status.Ready || l.PID == 0 || l.CPU <= 0 {
		t.Errorf("%+v", l)
	}
	if l.Values["rx_frames"] != 7 || l.Values["steer_passed_port"] != 7 || l.Values["arp_requests"] != 0 {
		t.Errorf("values %v", l.Values)
	}
	if len(l.Queues) != 2 || l.Queues[1].Received != 11 || l.Handshake.Count() != 3 {
		t.Errorf("queues %+v, handshakes %+v", l.Queues, l.Handshake)
	}
	if len(l.App) != reflect.TypeFor[proxy.Stats]().NumField() || l.App[0].Name != "proxy_accepted" || l.App[0].Help == "" {
		t.Errorf("of what is served %+v", l.App)
	}
	if l.Shield != "auto" || l.Filter == nil || !l.Filter.Rules || l.Filter.SYNs.PerSecond != 100 || l.Queues[0].Pressed || !l.Queues[1].Pressed {
		t.Errorf("the defence: %q, %+v, %+v", l.Shield, l.Filter, l.Queues)
	}
	text := get(t, site(full()), "/metrics").Body.String()
	for _, want := range []string{
		`xdpstack_shield_info{mode="auto"} 1`, `xdpstack_queue_shield_pressed{queue="0"} 0`, `xdpstack_queue_shield_pressed{queue="1"} 1`,
		`xdpstack_queue_shield_pressure{queue="1"} 600`, `xdpstack_filter_rules 1`, `xdpstack_filter_rate{kind="syn"} 100`,
		`xdpstack_filter_rate{kind="packet"} 0`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no %s in /metrics", want)
		}
	}
	cured := false
	for _, d := range l.Drops {
		cured = cured || d.Name == "socket_rx_ring_full" && d.Cure != "" && d.Help != ""
	}
	if !cured {
		t.Errorf("drops %+v", l.Drops)
	}
}

// Every counter that is shown exists.
func TestShownCountersExist(t *testing.T) {
	names := map[string]bool{}
	for _, m := range snapshot.Names() {
		names[m.Name] = true
	}
	for _, s := range shown {
		if s[len(s)-1] != '_' && !names[s] {
			t.Errorf("no counter is called %s", s)
		}
	}
}

// peer returns the address of one of many peers.
func peer(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}), 4000)
}

func TestBusiestConnections(t *testing.T) {
	var s *Site
	round := uint64(0)
	cfg := site(full()).cfg
	cfg.Connections = func(see func(Connection) bool) error {
		for i := range 3 {
			c := Connection{
				Local: netip.MustParseAddrPort("192.0.2.10:80"), Remote: peer(i), State: "ESTABLISHED", RTT: time.Duration(i) * time.Millisecond,
				In: round * uint64(i) * 1000, Out: 5,
			}
			if i == 2 {
				c.ID = uint32(round) // another connection each time
			}
			if !see(c) {
				break
			}
		}
		return nil
	}
	s = New(cfg)
	if l := getJSON[Live](t, s, "/live", 200); len(l.Top) != 3 || l.Top[0].InRate != 0 || l.Seen != 3 || l.More {
		t.Errorf("at first %+v", l.Top)
	}
	round = 7
	time.Sleep(freshness + 10*time.Millisecond)
	l := getJSON[Live](t, s, "/live?top=2", 200)
	if len(l.Top) != 2 || l.Top[0].Remote != peer(1) || l.Top[0].InRate <= 0 || l.Top[0].OutRate != 0 || l.Top[1].InRate != 0 {
		t.Errorf("then %+v", l.Top)
	}
	if r := l.RTT; r == nil || r.Count != 2 || r.P50 != time.Millisecond || r.Max != 2*time.Millisecond {
		t.Errorf("round-trip times %+v", l.RTT)
	}
	if l := getJSON[Live](t, s, "/live?top=1&sort=rtt", 200); len(l.Top) != 1 || l.Top[0].Remote != peer(2) {
		t.Errorf("by round trip %+v", l.Top)
	}
	if l := getJSON[Live](t, s, "/live?filter=51.0.2:+estab", 200); len(l.Top) != 1 || l.Top[0].Remote != peer(2) || l.Seen != 3 {
		t.Errorf("filtered %+v", l.Top)
	}
}

// However many connections there are, a look at them is bounded.
func TestManyConnectionsAreNotAllLookedAt(t *testing.T) {
	cfg := site(full()).cfg
	asked := 0
	cfg.Connections = func(see func(Connection) bool) error {
		for i := 0; see(Connection{Remote: peer(i)}); i++ {
			asked++
		}
		return nil
	}
	l := getJSON[Live](t, New(cfg), "/live", 200)
	if l.Seen != maxSeen || !l.More || asked != maxSeen || len(l.Top) != defaultTop || l.RTT != nil {
		t.Errorf("seen %d, more %v, asked %d, %d on top", l.Seen, l.More, asked, len(l.Top))
	}
}
