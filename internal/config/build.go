package config

import (
	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/internal/filter"
	"github.com/xdpstack/xdpstack/internal/proxy"
	"github.com/xdpstack/xdpstack/internal/service"
	"github.com/xdpstack/xdpstack/internal/web"
	"github.com/xdpstack/xdpstack/stack"
)

// Stack returns what the stack is opened with.
func (c *Config) Stack() stack.Config {
	return stack.Config{
		Interface: c.Interface, Address: c.Address, Addresses: c.Addresses, Gateway: c.Gateway,
		Shared: c.Shared, DialPorts: c.DialPorts,
		AFXDP: afxdp.Options{
			Driver: c.AFXDP.Driver, Mode: c.AFXDP.Mode, Attach: c.AFXDP.Attach, TxChecksum: c.AFXDP.TxChecksum,
			Frames: c.AFXDP.Frames, RxRing: c.AFXDP.RxRing, TxRing: c.AFXDP.TxRing, BusyPoll: c.AFXDP.BusyPoll,
			Pin: bool(c.Crash),
		},
		CPUs: c.Shards.CPUs, SpinTime: c.Shards.Spin,
		Shield: c.Shield,
	}
}

// Settings returns what the filter begins with.
func (f Filter) Settings() filter.Settings {
	return filter.Settings{Deny: f.Deny, Allow: f.Allow, SYNRate: f.SYNRate, Rate: f.Rate, SYNBurst: f.SYNBurst, Burst: f.Burst}
}

// Listener returns where the web site is given.
func (w Web) Listener() web.Listener {
	return web.Listener{Address: w.Address, Anyone: w.Anyone, Profiles: w.Profiles}
}

// Proxy returns what the service proxy does with connections.
func (s *Service) Proxy() proxy.Config {
	return proxy.Config{Targets: s.To, Header: s.Header, Connect: s.Timeout, Idle: s.Idle}
}

// HTTP returns what the service http is made with.
func (s *Service) HTTP() service.HTTPConfig {
	cfg := service.HTTPConfig{Root: s.Root, Delay: s.Delay}
	if s.Body != nil {
		cfg.Made, cfg.Size = true, int64(*s.Body)
	}
	return cfg
}
