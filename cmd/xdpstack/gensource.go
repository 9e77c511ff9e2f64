package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/spf13/cobra"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/gen"
	"github.com/xdpstack/xdpstack/gen/engine"
	"github.com/xdpstack/xdpstack/internal/nexthop"
)

// genSource says what is sent, and where to.
type genSource struct {
	templates []string
	profile   string
	replay    genReplay
	mac       string
	ownText   string
	toText    string
	gateText  string

	streams []gen.Stream
	read    *gen.Profile // nil: none
	from    netip.Prefix // the packets' own address, for templates without one
	to      netip.Addr   // and their target
	gateway netip.Addr
	way     nexthop.Answer
}

func (s *genSource) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.profile, "profile", "", "file with templates and a rate, in TOML or YAML: docs/profiles.md")
	s.replay.register(cmd)
	f.StringVarP(&s.ownText, "address", "a", "", "source address of templates without one, with prefix length (default the interface's)")
	f.StringVar(&s.toText, "to", "", "target of templates without one")
	f.StringVar(&s.mac, "dst-mac", "", "hardware address that packets go to (default that of the first target or its gateway)")
	f.StringVar(&s.gateText, "gateway", "", "router that packets go to, in place of what the kernel's routes say")
}

// parse reads what was given, without a look at the system. byRate says that a rate was.
func (s *genSource) parse(byRate bool) (err error) {
	if err := s.parseAddresses(); err != nil {
		return err
	}
	given := 0
	for _, is := range []bool{len(s.templates) > 0, s.profile != "", s.replay.file != ""} {
		if is {
			given++
		}
	}
	switch {
	case given == 0:
		return usagef("what is to be sent? give a template, such as udp,dst=192.0.2.20,dport=9, or --profile or --replay")
	case given > 1:
		return usagef("templates, --profile and --replay: give one of them")
	case s.replay.file != "":
		return s.replay.parse(s.way.MAC, byRate)
	case s.profile != "":
		var mistakes *gen.Mistakes
		if s.read, err = gen.LoadProfile(s.profile); errors.As(err, &mistakes) {
			return usageError{err}
		} else if err != nil {
			return err
		}
		s.streams = s.read.Streams
	}
	for _, text := range s.templates {
		stream, err := gen.ParseStream(text)
		if err != nil {
			return usageError{err}
		}
		s.streams = append(s.streams, stream)
	}
	return nil
}

// parseAddresses reads the flags for addresses.
func (s *genSource) parseAddresses() (err error) {
	if s.ownText != "" {
		if s.from, err = netip.ParsePrefix(s.ownText); err != nil || !s.from.Addr().Is4() {
			return usagef("-a %s: want an IPv4 address with its prefix length, such as 192.0.2.10/24", s.ownText)
		}
	}
	if s.to, err = parseAddress("--to", s.toText); err != nil {
		return err
	}
	if s.gateway, err = parseAddress("--gateway", s.gateText); err != nil {
		return err
	}
	if s.mac != "" {
		mac, err := net.ParseMAC(s.mac)
		if err != nil || len(mac) != len(s.way.MAC) {
			return usagef("--dst-mac %s: want a hardware address such as 02:00:00:00:00:01", s.mac)
		}
		s.way = nexthop.Answer{MAC: ethernet.Addr(mac), How: "--dst-mac"}
	}
	return nil
}

func parseAddress(flag, text string) (a netip.Addr, err error) {
	if text == "" {
		return a, nil
	}
	if a, err = netip.ParseAddr(text); err != nil || !a.Is4() {
		return a, usagef("%s %s: want an IPv4 address", flag, text)
	}
	return a, nil
}

// address takes the interface's address where none was given.
func (s *genSource) address(info *afxdp.Info) {
	for _, p := range info.Addresses {
		if !s.from.IsValid() && p.Addr().Is4() {
			s.from = p
		}
	}
}

// targets are where the packets go.
func (s *genSource) targets() (all []netip.Prefix) {
	if s.replay.capture != nil {
		return s.replay.goals
	}
	for i := range s.streams {
		t := s.streams[i].Targets()
		if len(t) == 0 && s.to.IsValid() {
			t = []netip.Prefix{netip.PrefixFrom(s.to, s.to.BitLen())}
		}
		all = append(all, t...)
	}
	return all
}

// resolve finds the hardware address that packets go to whose template has none: that of the first target.
func (s *genSource) resolve(ctx context.Context, info *afxdp.Info) error {
	if s.mac != "" || s.addressed() {
		return nil
	}
	targets := s.targets()
	if len(targets) == 0 {
		return usagef("the templates have no target: say which hardware address the packets go to, with --dst-mac or eth,dst=…")
	}
	q := nexthop.Query{Interface: info.Name, Target: targets[0].Addr(), Gateway: s.gateway}
	if s.from.IsValid() {
		q.Source = s.from.Addr()
	}
	var err error
	if s.way, err = nexthop.Find(ctx, q); err != nil {
		return fmt.Errorf("%w (--dst-mac says where to send without asking)", err)
	}
	return nil
}

// addressed reports whether all packets have a hardware address of their own.
func (s *genSource) addressed() bool {
	for i := range s.streams {
		found := false
		for _, f := range s.streams[i].Layers[0].Fields {
			found = found || s.streams[i].Layers[0].Kind == gen.Ethernet && f.Name == "dst"
		}
		if !found {
			return false
		}
	}
	return true
}

// programs makes what writes the packets, for each of some workers.
func (s *genSource) programs(info *afxdp.Info, workers int) ([]engine.Source, error) {
	if s.replay.capture != nil {
		return s.replay.sources(info, workers)
	}
	var all []engine.Source
	for w := range workers {
		o := gen.Options{
			Worker: w, Workers: workers, Source: ethernet.Addr(info.MAC), Target: s.way.MAC, TargetIP: s.to, MTU: info.MTU,
		}
		if s.from.IsValid() {
			o.SourceIP = s.from.Addr()
		}
		p, err := gen.Compile(s.streams, o)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}
