package config

import (
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/internal/privileges"
	"github.com/xdpstack/xdpstack/internal/service"
	"github.com/xdpstack/xdpstack/stack"
)

// ServiceNames are the services that there are, in the order in which they are explained.
var ServiceNames = []string{"echo", "discard", "chargen", "http", "proxy"}

// ports are the services' own.
var ports = map[string]uint16{
	"echo": service.EchoPort, "discard": service.DiscardPort, "chargen": service.ChargenPort, "http": service.HTTPPort,
	"proxy": service.HTTPPort,
}

// Check looks whether the parts make sense together, without looking at the machine. The error is of type Problems and has everything that
// is wrong with the document.
func (d *Document) Check() error {
	if d.broken {
		return d.problems
	}
	c := &d.Config
	if c.Interface == "" && d.sound("interface") {
		d.problem("interface", "which interface? give -i IFACE, or the key interface")
	}
	d.checkAddress()
	if c.AFXDP.Driver != "" && c.AFXDP.Driver != afxdp.DriverNative && c.AFXDP.Driver != afxdp.DriverAsavie {
		d.problem("afxdp.driver", "want native or asavie")
	}
	d.checkServices()
	d.checkWeb()
	d.checkPrivileges()
	settings := c.Filter.Settings()
	if err := settings.Validate(); err != nil {
		d.problem(d.firstOf("filter."), "%v", err)
	}
	if len(d.problems) == 0 { // what the packages themselves say knows no keys
		cfg := c.Stack()
		if err := cfg.Check(); err != nil {
			key := "address"
			if cfg.AFXDP.Check() != nil {
				key = d.firstOf("afxdp.")
			} else if len(c.Addresses) > 0 {
				key = "addresses"
			}
			d.problem(key, "%s", strings.TrimPrefix(strings.TrimPrefix(err.Error(), stack.ErrConfig.Error()), ": "))
		}
	}
	if len(d.problems) == 0 {
		return nil
	}
	d.problems.sort()
	return d.problems
}

// maxDialPorts bounds the ports that a shared stack reserves for dialing: each takes a socket of the kernel's.
const maxDialPorts = 1 << 15

func (d *Document) checkAddress() {
	c := &d.Config
	if c.Shared {
		for _, key := range []string{"address", "addresses", "gateway"} {
			if _, ok := d.set[key]; ok {
				d.problem(key, "leave it out: with shared = true (--shared) the addresses and routes are the kernel's")
			}
		}
		if c.DialPorts < 0 || c.DialPorts > maxDialPorts {
			d.problem("dial-ports", "want 1 to %d", maxDialPorts)
		}
		return
	}
	if _, ok := d.set["dial-ports"]; ok {
		d.problem("dial-ports", "belongs to shared = true (--shared): all ports of an own address are the stack's")
	}
	switch a := c.Address; {
	case !d.sound("address"):
		return
	case !a.IsValid():
		d.problem("address",
			"which address? give -a ADDR/LEN, or the key address: one on the network that nobody has; or --shared for the kernel's")
		return
	case !a.Addr().Is4():
		d.problem("address", "want an IPv4 address with its prefix length, such as 192.0.2.10/24")
		return
	}
	switch g := c.Gateway; {
	case g == netip.Addr{} || !d.sound("gateway"):
	case !g.Is4():
		d.problem("gateway", "want an IPv4 address")
	case !c.Address.Contains(g):
		d.problem("gateway", "is not on the network %s", c.Address.Masked())
	}
}

func (d *Document) checkServices() {
	if len(d.Config.Service) == 0 && d.sound("service") {
		d.problem("service", "which service? echo, discard, chargen, http or proxy")
	}
	byPort := make(map[uint16]int)
	for i := range d.Config.Service {
		s, key := &d.Config.Service[i], serviceKey(i)
		own, known := ports[s.Name]
		if !known {
			if s.Name == "" {
				d.problem(key, "which service? name = \"echo\", \"discard\", \"chargen\", \"http\" or \"proxy\"")
			} else {
				d.problem(key+".name", "no service is called %q: there are echo, discard, chargen, http and proxy", s.Name)
			}
			continue
		}
		d.checkHTTP(s, key)
		d.checkProxy(s, key)
		if s.Port == 0 {
			if o, ok := d.set[key+".port"]; ok && o.text != "" {
				d.problem(key+".port", "want a port from 1 to 65535")
			}
			s.Port = own
		}
		if other, taken := byPort[s.Port]; taken {
			at := key + ".port"
			if _, ok := d.set[at]; !ok {
				at = key + ".name"
			}
			if o := &d.Config.Service[other]; o.Name == s.Name {
				d.problem(at, "%s is given twice with the port %d", s.Name, s.Port)
			} else {
				d.problem(at, "%s has the port %d already", o.Name, s.Port)
			}
		}
		byPort[s.Port] = i
	}
}

// checkHTTP finds settings that only http has, and such that exclude each other.
func (d *Document) checkHTTP(s *Service, key string) {
	if s.Name != "http" {
		d.foreign(s, key, "http", "root", "body", "delay", "net-http")
		return
	}
	if s.Root != "" && s.Body != nil {
		d.problem(key+".body", "http serves files or made-up bodies, not both: leave out root or body")
	}
	if o := d.set[key+".root"]; s.Root != "" && o.flag == "" && !filepath.IsAbs(s.Root) {
		d.problem(key+".root", "want an absolute path: a service starts in another directory than a shell")
	}
}

// checkProxy does the same for proxy.
func (d *Document) checkProxy(s *Service, key string) {
	if s.Name != "proxy" {
		d.foreign(s, key, "proxy", "to", "proxy-protocol", "timeout", "idle")
		return
	}
	if _, ok := d.set[key+".to"]; !ok {
		d.problem(key+".name", `a proxy hands connections on to whom? to = ["kernel:127.0.0.1:8080"], or use the command proxy`)
		return
	}
	if cfg := s.Proxy(); d.sound(key+".to") && cfg.Check() != nil {
		at := key + ".to"
		for _, other := range []string{".timeout", ".idle"} {
			if v := d.set[key+other]; strings.HasPrefix(v.text, "-") {
				at = key + other
			}
		}
		d.problem(at, "%s", strings.TrimPrefix(cfg.Check().Error(), "proxy: "))
	}
}

// foreign finds settings of a service that only another has.
func (d *Document) foreign(s *Service, key, other string, settings ...string) {
	for _, only := range settings {
		if _, ok := d.set[key+"."+only]; ok {
			d.problem(key+"."+only, "belongs to the service %s, and this is %s", other, s.Name)
		}
	}
}

func (d *Document) checkPrivileges() {
	p := d.Config.Privileges
	keep := privileges.Config{User: p.User, Seccomp: privileges.Mode(p.Seccomp)}
	if err := keep.Validate(); err != nil {
		d.problem(d.firstOf("privileges."), "%v", err)
	}
}

func (d *Document) checkWeb() {
	w := d.Config.Web
	if w.Address == "" {
		if w.Anyone || w.Profiles {
			d.problem(d.firstOf("web."), "such settings belong to --web ADDR:PORT, or web.address, and there is none")
		}
		return
	}
	l := w.Listener()
	if err := l.Validate(); err != nil {
		d.problem("web.address", "%v", err)
	}
}

// firstOf returns the first key in the file that begins so.
func (d *Document) firstOf(prefix string) string {
	first := ""
	for key, o := range d.set {
		if strings.HasPrefix(key, prefix) && (first == "" || o.line < d.set[first].line) {
			first = key
		}
	}
	return first
}
