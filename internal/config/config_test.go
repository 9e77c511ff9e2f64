package config

import (
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/afxdp"
)

// least is as little as a configuration can be.
const least = "interface = \"eth0\"\naddress = \"192.0.2.10/24\"\n"

const proxied = "[[service]]\nname = \"proxy\"\n"

const echo = "[[service]]\nname = \"echo\"\n"

func TestParse(t *testing.T) {
	d := Parse("f", []byte(least+`
gateway = "192.0.2.1"
addresses = ["198.51.100.0/24", "192.0.2.20-192.0.2.22"]
afxdp.mode = "copy"
[shards]
cpus = [2, -1, 0x3]
spin = "-1s"
[control]
mode = "0660"
[stop]
drain = "0s"
[[service]]
name = "http"
body = "16KiB"
delay = "90%:1ms,10%:2ms"
[[service]]
name = "http"
port = 8080
root = "/srv"
net-http = true
[[service]]
name = "proxy"
port = 81
to = ["kernel:127.0.0.1:8080", "kernel:/run/app"]
proxy-protocol = true
idle = "1h"
`+echo))
	if err := d.Check(); err != nil {
		t.Fatal(err)
	}
	c := d.Config
	if c.Interface != "eth0" || c.Address != netip.MustParsePrefix("192.0.2.10/24") || len(c.Addresses) != 2 || c.Gateway.String() != "192.0.2.1" {
		t.Errorf("%+v", c)
	}
	s := c.Stack()
	if s.AFXDP.Mode != afxdp.ModeCopy || !reflect.DeepEqual(s.CPUs, []int{2, -1, 3}) || s.SpinTime != -time.Second {
		t.Errorf("%+v", s)
	}
	if m := c.Control.Mode; m != 0o660 || c.Stop.Drain.Or(time.Hour) != 0 || (Patience{}).Or(time.Hour) != time.Hour {
		t.Errorf("mode %v, drain %v", m, c.Stop.Drain)
	}
	if len(c.Service) != 4 || c.Service[0].Port != 80 || c.Service[1].Port != 8080 || c.Service[3].Port != 7 {
		t.Fatalf("%+v", c.Service)
	}
	if h := c.Service[0].HTTP(); !h.Made || h.Size != 16384 || h.Delay.IsZero() {
		t.Errorf("%+v", h)
	}
	if h := c.Service[1].HTTP(); h.Made || h.Root != "/srv" || !c.Service[1].NetHTTP {
		t.Errorf("%+v", h)
	}
	if p := c.Service[2].Proxy(); len(p.Targets) != 2 || p.Targets[1].Path != "/run/app" || !p.Header || p.Idle != time.Hour {
		t.Errorf("%+v", p)
	}
}

func TestInlineTables(t *testing.T) {
	d := Parse("f", []byte("service = [{name = \"echo\"}, {name = \"http\", body = \"1k\"}]\nshards = {spin = \"1ms\"}\n"+least))
	if err := d.Check(); err != nil {
		t.Fatal(err)
	}
	if len(d.Config.Service) != 2 || d.Config.Shards.Spin != time.Millisecond {
		t.Errorf("%+v", d.Config)
	}
}

// problems are what Check finds.
func problems(d *Document) (p Problems) {
	errors.As(d.Check(), &p)
	return p
}

// Everything that is wrong is reported, each at its place.
func TestProblems(t *testing.T) {
	for name, tt := range map[string]struct {
		file string
		want []string // prefixes of lines, the rest after … anywhere in the line
	}{
		"empty":       {"", []string{"f: which interface?", "f: which address?", "f: which service?"}},
		"syntax":      {"interface = \n", []string{"f:1:13: …"}},
		"quotes":      {"interface = \"eth0\naddress = 1", []string{"f:1:18: …"}},
		"twice":       {"interface = \"a\"\ninterface = \"b\"", []string{"f:2:1: …interface"}},
		"table twice": {"[log]\n[log]\n", []string{"f:2:2: …log"}},
		"many": {least + `gatway = "192.0.2.1"
frames = 5
[afxdp]
mode = "fast"
frames = "many"
  rx-ring = 1.5
busy-poll = 50
[afxpd]
mode = "copy"
[shards]
cpus = [1, "two"]
spin = "5"
[log]
level = "loud"
json = 1
[control]
mode = "0999"
[stop]
drain = "-1s"
[[service]]
name = "ftp"
port = 70000
[[service]]
name = "echo"
root = "/"
`, []string{
			"f:3:1: gatway: there is no such key: is gateway meant?",
			"f:4:1: frames: there is no such key",
			`f:6:8: afxdp.mode: "fast": want auto, zero-copy or copy`,
			"f:7:10: afxdp.frames: want a whole number, such as 1, and this is a string",
			"f:8:13: afxdp.rx-ring: want a whole number, …a number with a point",
			`f:9:13: afxdp.busy-poll: want a string, such as "30s", and this is a whole number`,
			"f:10:2: afxpd: there is no such key: is afxdp meant?",
			"f:13:12: shards.cpus: want a whole number",
			`f:14:8: shards.spin: "5": want a time with its unit`,
			`f:16:9: log.level: …loud`,
			"f:17:8: log.json: want true or false",
			"f:19:8: control.mode: …octal",
			"f:21:9: stop.drain: …0s to 24h",
			`f:23:8: service[0].name: no service is called "ftp"`,
			`f:24:8: service[0].port: …0 to 65535`,
			"f:27:8: service[1].root: belongs to the service http, and this is echo",
		}},
		"one service as a table":   {"[service]\nname = \"echo\"\n" + least, []string{"f: …", "f: …", "f:1:2: service: is a list of tables: write [[service]]"}},
		"a table as a list":        {least + echo + "[[log]]\n", []string{"f:5:3: log: there is only one of it: write [log]"}},
		"a table for a value":      {least + echo + "[service.port]\n", []string{"f:5:10: service[0].port: is no table: write service[0].port = 1"}},
		"a value for a table":      {"log = 1\n" + least + echo, []string{"f:1:1: log: want a table, and this is a whole number"}},
		"a value for a list":       {"addresses = \"192.0.2.11\"\n" + least + echo, []string{"f:1:1: addresses: want a list, such as [\"text\"], and this is a string"}},
		"a value for tables":       {"service = \"echo\"\n" + least, []string{"f:1:1: service: want a list of tables"}},
		"addresses of the network": {"interface = \"e\"\naddress = \"192.0.2.0/24\"\n" + echo, []string{"f:2:11: address: …not the address of a single host"}},
		"IPv6":                     {"interface = \"e\"\naddress = \"2001:db8::1/64\"\n" + echo, []string{"f:2:11: address: want an IPv4 address"}},
		"no prefix":                {"interface = \"e\"\naddress = \"192.0.2.1\"\n" + echo, []string{"f:2:11: address: \"192.0.2.1\": want an address with its prefix length"}},
		"gateway elsewhere":        {"gateway = \"10.0.0.1\"\n" + least + echo, []string{"f:1:11: gateway: is not on the network 192.0.2.0/24"}},
		"gateway of the network":   {"gateway = \"192.0.2.10\"\n" + least + echo, []string{"f:3:11: address: …not another host"}},
		"further addresses":        {"addresses = [\"0.0.0.0/0\"]\n" + least + echo, []string{"f:1:1: addresses: …16777216 are possible"}},
		"rings":                    {least + "[afxdp]\nrx-ring = 1000\n" + echo, []string{"f:4:11: afxdp.rx-ring: …power of two"}},
		"frames":                   {least + "[afxdp]\nframes = 100\n" + echo, []string{"f:4:10: afxdp.frames: …at least 6144"}},
		"driver":                   {least + "[afxdp]\ndriver = \"dpdk\"\n" + echo, []string{"f:4:10: afxdp.driver: want native or asavie"}},
		"port taken":               {least + echo + "[[service]]\nname = \"discard\"\nport = 7\n", []string{"f:7:8: service[1].port: echo has the port 7 already"}},
		"served twice":             {least + echo + echo, []string{"f:6:8: service[1].name: echo is given twice with the port 7"}},
		"port 0":                   {least + echo + "port = 0\n", []string{"f:5:8: service[0].port: want a port from 1 to 65535"}},
		"no name":                  {least + "[[service]]\nport = 7\n", []string{"f:3:3: service[0]: which service?"}},
		"root and body":            {least + "[[service]]\nname = \"http\"\nroot = \"/\"\nbody = \"1\"\n", []string{"f:6:8: service[0].body: http serves files or made-up bodies"}},
		"relative root":            {least + "[[service]]\nname = \"http\"\nroot = \"www\"\n", []string{"f:5:8: service[0].root: want an absolute path"}},
		"body":                     {least + "[[service]]\nname = \"http\"\nbody = \"big\"\n", []string{"f:5:8: service[0].body: \"big\": …64MiB"}},
		"shared, and an address":   {"shared = true\n" + least + echo, []string{"f:3:11: address: leave it out"}},
		"shared, many ports":       {"interface = \"e\"\nshared = true\ndial-ports = 100000\n" + echo, []string{"f:3:14: dial-ports: want 1 to 32768"}},
		"dial-ports":               {"dial-ports = 5\n" + least + echo, []string{"f:1:14: dial-ports: belongs to shared"}},
		"open to all":              {least + echo + "[web]\naddress = \"0.0.0.0:9290\"\n", []string{"f:6:11: web.address: …can be reached from other hosts"}},
		"proxy to nobody":          {least + proxied + "idle = \"1s\"\n", []string{"f:4:8: service[0].name: a proxy hands connections on to whom?"}},
		"proxy without targets":    {least + proxied + "to = []\n", []string{"f:5:1: service[0].to: no target"}},
		"proxy to nonsense":        {least + proxied + "to = [\"tcp:1\"]\n", []string{"f:5:7: service[0].to: …want kernel:ADDR:PORT"}},
		"proxy to both":            {least + proxied + "to = [\"kernel:/a\", \"stack:192.0.2.9:1\"]\n", []string{"f:5:1: service[0].to: targets kernel:/a and stack:192.0.2.9:1: …"}},
		"proxy within -1s":         {least + proxied + "to = [\"kernel:/a\"]\ntimeout = \"-1s\"\n", []string{"f:6:11: service[0].timeout: connecting within -1s"}},
		"echo to somebody":         {least + echo + "to = [\"kernel:/a\"]\n", []string{"f:5:1: service[0].to: belongs to the service proxy, and this is echo"}},
		"web, nowhere":             {least + echo + "[web]\nprofiles = true\n", []string{"f:6:12: web.profiles: such settings belong to --web"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := Parse("f", []byte(tt.file))
			err := d.Check()
			if err == nil {
				t.Fatal("no problem")
			}
			got := strings.Split(err.Error(), "\n")
			if len(got) != len(tt.want) {
				t.Errorf("%d problems, want %d:\n%v", len(got), len(tt.want), err)
			}
			for i := range min(len(got), len(tt.want)) {
				begin, rest, _ := strings.Cut(tt.want[i], "…")
				if !strings.HasPrefix(got[i], begin) || !strings.Contains(got[i], rest) {
					t.Errorf("problem %d:\n%s\nwant\n%s", i+1, got[i], tt.want[i])
				}
			}
		})
	}
}

func TestFlagsWin(t *testing.T) {
	d := Parse("f", []byte(least+"[afxdp]\nmode = \"copy\"\nframes = 10\n"+echo))
	d.Override("mode", "zero-copy")
	d.Override("frames", "32768")
	d.Override("cpus", "1", "2")
	if d.Override("no-such-flag", "1") {
		t.Error("an unknown flag was taken")
	}
	d.Serve("http", "echo")
	if !d.OverrideService(0, "body", "12345") {
		t.Error("--body was not taken")
	}
	if err := d.Check(); err != nil {
		t.Fatal(err)
	}
	c := d.Config
	if c.AFXDP.Mode != afxdp.ModeZeroCopy || c.AFXDP.Frames != 32768 || len(c.Shards.CPUs) != 2 || len(c.Service) != 2 || *c.Service[0].Body != 12345 {
		t.Errorf("%+v", c)
	}
}

func TestProblemsOfFlags(t *testing.T) {
	d := New()
	d.Override("interface", "eth0")
	d.Override("address", "here")
	d.Override("mode", "fast")
	d.Serve("echo")
	d.OverrideService(0, "root", "/")
	p := problems(d)
	want := []string{"--address here: want an address", "--mode fast: want auto", "--root /: belongs to the service http"}
	if !p.OfFlags() || len(p) != len(want) {
		t.Fatalf("%v", p)
	}
	for i := range p {
		if !strings.HasPrefix(p[i].String(), want[i]) {
			t.Errorf("%q, want %q", p[i], want[i])
		}
	}
	d = Parse("f", []byte(least+"[log]\nlevel = \"loud\"\n"))
	d.Override("mode", "fast")
	if p := problems(d); p.OfFlags() || len(p) != 3 {
		t.Errorf("%v", p)
	}
}

func TestChanges(t *testing.T) {
	parse := func(text string) *Document {
		t.Helper()
		d := Parse("f", []byte(text))
		if err := d.Check(); err != nil {
			t.Fatal(err)
		}
		return d
	}
	before := parse(least + "[stop]\ndrain = \"30s\"\n[shards]\ncpus = [1, 2]\n" + echo + "[[service]]\nname = \"http\"\nroot = \"/a\"\n")
	if c := Changes(before, before); len(c) != 0 {
		t.Errorf("from itself: %v", c)
	}
	same := parse(least + "[afxdp]\nmode = \"auto\"\n[log]\nlevel = \"INFO\"\n[stop]\ndrain = \"30000ms\"\n[shards]\ncpus = [0x1, 2]\n" +
		"[[service]]\nroot = \"/a\"\nname = \"http\"\nport = 80\n" + echo)
	if c := Changes(before, same); len(c) != 0 {
		t.Errorf("the same in other words: %v", c)
	}
	after := parse(`interface = "eth1"
address = "192.0.2.10/24"
[shards]
cpus = [1]
[log]
level = "debug"
[[service]]
name = "http"
root = "/b"
net-http = true
[[service]]
name = "discard"
`)
	var got []string
	for _, c := range Changes(before, after) {
		s := c.String()
		if !c.Live {
			s += " !"
		}
		got = append(got, s)
	}
	want := []string{
		"interface: eth0 → eth1 !",
		"shards.cpus: 1,2 → 1 !",
		"log.level: (default) → debug",
		"stop.drain: 30s → (default)",
		"service http:80 root: /a → /b",
		"service http:80 net-http: (default) → true !",
		"service discard:9: not served → served",
		"service echo:7: served → not served",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
