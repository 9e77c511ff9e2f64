package main

import (
	"encoding"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/stack"
)

// driverFlags say how packets get in and out.
type driverFlags struct {
	driver, mode, attach, checksum string
	frames, rx, tx                 int
	busyPoll                       time.Duration
}

// driverFlagNames are the flags of driverFlags.
var driverFlagNames = []string{"driver", "mode", "attach", "frames", "rx-ring", "tx-ring", "busy-poll", "tx-checksum"}

func (f *driverFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.driver, "driver", afxdp.DriverNative, "AF_XDP driver: native or asavie")
	cmd.Flags().StringVar(&f.mode, "mode", "auto", "auto, zero-copy or copy")
	cmd.Flags().StringVar(&f.attach, "attach", "auto", "where the XDP program runs: auto, native (driver) or generic")
	cmd.Flags().IntVar(&f.frames, "frames", 0, "frames of packet memory, 2KiB each, for each queue (default 16384)")
	cmd.Flags().IntVar(&f.rx, "rx-ring", 0, "received packets that each queue holds, a power of two (default 2048)")
	cmd.Flags().IntVar(&f.tx, "tx-ring", 0, "packets to be sent that each queue holds, a power of two (default 2048)")
	cmd.Flags().DurationVar(&f.busyPoll, "busy-poll", 0, "poll the card in the shards, without interrupts: 50us, for example (default off)")
	cmd.Flags().StringVar(&f.checksum, "tx-checksum", "auto",
		"who computes checksums: auto, stack or device (the kernel, if it cannot)")
	choices(cmd, "driver", afxdp.DriverNative, afxdp.DriverAsavie)
	choices(cmd, "mode", "auto", "zero-copy", "copy")
	choices(cmd, "attach", "auto", "native", "generic")
	choices(cmd, "tx-checksum", "auto", "stack", "device")
}

// given returns the first of these flags that the user has set, empty if none.
func (f *driverFlags) given(cmd *cobra.Command) string {
	for _, name := range driverFlagNames {
		if cmd.Flags().Changed(name) {
			return "--" + name
		}
	}
	return ""
}

// choices makes the shell complete a flag's values.
func choices(cmd *cobra.Command, flag string, values ...string) {
	err := cmd.RegisterFlagCompletionFunc(flag, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return values, cobra.ShellCompDirectiveNoFileComp
	})
	if err != nil {
		panic(err) // a flag of another name
	}
}

func (f *driverFlags) options() (o afxdp.Options, err error) {
	if f.driver != afxdp.DriverNative && f.driver != afxdp.DriverAsavie {
		return o, usagef("--driver %s: want native or asavie", f.driver)
	}
	o.Driver, o.Frames, o.RxRing, o.TxRing, o.BusyPoll = f.driver, f.frames, f.rx, f.tx, f.busyPoll
	for _, choice := range []struct {
		flag, given string
		to          encoding.TextUnmarshaler
	}{{"mode", f.mode, &o.Mode}, {"attach", f.attach, &o.Attach}, {"tx-checksum", f.checksum, &o.TxChecksum}} {
		if err := choice.to.UnmarshalText([]byte(choice.given)); err != nil {
			return o, usagef("--%s %s: %w", choice.flag, choice.given, err)
		}
	}
	return o, nil
}

// linkFlags say which interface and address the stack has.
type linkFlags struct {
	driverFlags
	iface, address, gateway string
	shared                  bool
	dialPorts               int
	shield                  string
	others                  []string // addresses beside address
}

func (f *linkFlags) register(cmd *cobra.Command) { f.registerAs(cmd, "i") }

// registerAs is register with a letter for --interface, or none.
func (f *linkFlags) registerAs(cmd *cobra.Command, letter string) {
	cmd.Flags().StringVarP(&f.iface, "interface", letter, "", "network interface (required)")
	cmd.Flags().StringVarP(&f.address, "address", "a", "", "the stack's own IPv4 address with its prefix length (required, or --shared)")
	cmd.Flags().StringVar(&f.gateway, "gateway", "", "router for addresses outside the prefix")
	cmd.Flags().BoolVar(&f.shared, "shared", false, "use the kernel's addresses, and own only the ports that are opened, in place of -a")
	cmd.Flags().IntVar(&f.dialPorts, "dial-ports", 0, "with --shared: local ports to reserve for dialing (default 1024)")
	f.driverFlags.register(cmd)
	if err := cmd.RegisterFlagCompletionFunc("interface", completeInterface); err != nil {
		panic(err)
	}
}

// registerAddresses adds the flag of a server's further addresses.
func (f *linkFlags) registerAddresses(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.others, "addresses", nil,
		"further own addresses: prefixes, ranges (10.0.0.5-10.0.0.20)")
}

// registerShield adds the flag of a server's defence against floods of SYNs.
func (f *linkFlags) registerShield(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.shield, "shield", "off", "answer SYNs in XDP: off, auto (in a flood) or always")
	choices(cmd, "shield", "off", "auto", "always")
}

// setShield takes the flag of registerShield.
func (f *linkFlags) setShield(cfg *stack.Config) error {
	if f.shield == "" {
		return nil
	}
	if err := cfg.Shield.UnmarshalText([]byte(f.shield)); err != nil {
		return usagef("--shield %s: want off, auto or always", f.shield)
	}
	return nil
}

// registerSource adds the flag of a client's further addresses. Its connections come from them in turn (stack.Dialer.Spread).
func (f *linkFlags) registerSource(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.others, "source", nil,
		"connect from these, own addresses too, in turn: prefixes, ranges (10.0.0.5-10.0.0.20)")
}

func (f *linkFlags) config() (cfg stack.Config, err error) {
	if f.iface == "" {
		return cfg, usagef("which interface? give -i IFACE")
	}
	cfg.Interface = f.iface
	if err := f.setShield(&cfg); err != nil {
		return cfg, err
	}
	if f.shared {
		return f.sharedConfig(cfg)
	}
	switch {
	case f.address == "":
		return cfg, usagef("which address? give -a ADDR/LEN, one on %s's network that nobody has, or --shared for the kernel's", f.iface)
	case f.dialPorts != 0:
		return cfg, usagef("--dial-ports belongs to --shared: all ports of an own address are the stack's")
	}
	if cfg.Address, err = netip.ParsePrefix(f.address); err != nil || !cfg.Address.Addr().Is4() {
		return cfg, usagef("-a %s: want an IPv4 address with its prefix length, such as 192.0.2.10/24", f.address)
	}
	if f.gateway != "" {
		if cfg.Gateway, err = netip.ParseAddr(f.gateway); err != nil || !cfg.Gateway.Is4() {
			return cfg, usagef("--gateway %s: want an IPv4 address", f.gateway)
		}
		if !cfg.Address.Contains(cfg.Gateway) {
			return cfg, usagef("--gateway %s is not on the network %s", f.gateway, cfg.Address.Masked())
		}
	}
	for _, s := range f.others {
		r, err := stack.ParseAddrRange(s)
		if err != nil {
			return cfg, usageError{err}
		}
		cfg.Addresses = append(cfg.Addresses, r)
	}
	cfg.AFXDP, err = f.options()
	return cfg, err
}

// sharedConfig completes the configuration of a stack that has the kernel's addresses.
func (f *linkFlags) sharedConfig(cfg stack.Config) (stack.Config, error) {
	switch {
	case f.address != "" || f.others != nil:
		return cfg, usagef("--shared and -a, --addresses or --source: with --shared the addresses are the kernel's")
	case f.gateway != "":
		return cfg, usagef("--shared and --gateway: with --shared the routes are the kernel's")
	}
	if f.dialPorts < 0 || f.dialPorts > 1<<15 {
		return cfg, usagef("--dial-ports %d: want 1 to 32768", f.dialPorts)
	}
	cfg.Shared, cfg.DialPorts = true, f.dialPorts
	var err error
	cfg.AFXDP, err = f.options()
	return cfg, err
}
