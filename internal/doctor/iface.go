package doctor

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/internal/kernelnet"
	"github.com/xdpstack/xdpstack/internal/netdev"
	"github.com/xdpstack/xdpstack/internal/xdpowner"
)

// Interface returns the findings about an interface.
func Interface(name string) []Finding {
	device, vlan, err := afxdp.Below(name)
	if err != nil {
		return []Finding{judgeDiscovery(name, err)}
	}
	var out []Finding
	if vlan != 0 {
		out = append(out, judgeVLAN(name, device, vlan))
	}
	info, err := afxdp.Discover(device)
	if err != nil {
		return append(out, judgeDiscovery(device, err))
	}
	running := runningStacks(device)
	out = append(out,
		judgeLink(&info), judgeProgram(&info, len(running) > 0), judgeXDP(&info), judgeZeroCopy(&info, running), judgeQueues(&info),
		judgeMTU(&info),
	)
	if ignored, err := kernelnet.IgnoredRules(name); err == nil && len(ignored) > 0 {
		out = append(out, judgeRules(name, ignored))
	}
	pairs, err := netdev.Pairs(info.Index)
	out = append(out, judgeMetadata(&info), judgeBusyPoll(&info, observePolling(running), pairs, err))
	if leftDeferred(&info) {
		out = append(out, judgeDeferral(&info))
	}
	table, err := readHash(&info)
	out = append(out, judgeHash(&info, table, err))
	if info.Kind == "veth" {
		out = append(out, judgePeer(findPeer(device)))
		if vlan != 0 {
			out = append(out, judgePeerTags(device))
		}
	}
	return out
}

func judgeDiscovery(name string, err error) Finding {
	f := Finding{Subject: name, Level: Fail, Fact: err.Error()}
	var e *afxdp.Error
	if errors.As(err, &e) {
		f.Cure = e.Cure
		bare := *e
		bare.Cure = ""
		f.Fact = bare.Error()
	}
	return f
}

func judgeLink(info *afxdp.Info) Finding {
	driver := info.Driver
	if driver == "" {
		driver = info.Kind
	}
	f := Finding{Subject: info.Name, Level: OK, Fact: "up, driver " + driver}
	switch {
	case info.MAC == [6]byte{}:
		f.Level, f.Fact, f.Cure = Fail, "has no Ethernet address, driver "+driver, "use an interface with one, a network card or veth"
	case !info.Up:
		f.Level, f.Fact, f.Cure = Fail, "down, driver "+driver, "ip link set "+info.Name+" up"
	case !info.Carrier:
		f.Level, f.Fact, f.Cure = Warn, "up, but without a link; driver "+driver, "plug the cable in, or bring the other end up"
	}
	if len(info.Addresses) > 0 {
		var all []string
		for _, a := range info.Addresses {
			all = append(all, a.String())
		}
		f.Fact += "; the kernel has " + strings.Join(all, ", ") + ", which a stack can share port by port (--shared)"
	}
	return f
}

// judgeRules says which policy rules a stack does not follow that shares the kernel's addresses.
func judgeRules(name string, ignored []string) Finding {
	return Finding{
		Subject: name + " policy rules", Level: Note,
		Fact: "a stack with --shared leaves out those that look at more than addresses and interfaces: " + strings.Join(ignored, "; "),
		Cure: "if its packets need such a rule, add one before it that looks at addresses: ip rule add priority N from ADDR table TABLE",
	}
}

func judgeProgram(info *afxdp.Info, running bool) Finding {
	f := Finding{Subject: info.Name + " XDP program", Level: OK, Fact: "none attached"}
	if orphan := bpf.Orphan(filepath.Join(bpf.PinDir, info.Name)); orphan != 0 && orphan == info.Program {
		f.Level, f.Fact = Note, fmt.Sprintf("program %d, pinned by a process that was killed; it passes everything to the kernel", orphan)
		f.Cure = "the next process with --crash pin takes its place; or: xdpstack clean -i " + info.Name
		return f
	}
	if info.Program != 0 && running {
		f.Fact = fmt.Sprintf("program %d, of the stack that runs", info.Program)
	} else if info.Program != 0 {
		f.Level, f.Fact = Fail, fmt.Sprintf("program %d is attached already", info.Program)
		for _, owner := range xdpowner.Find(info.Program) {
			f.Fact += fmt.Sprintf(", by %v", owner)
		}
		f.Cure = fmt.Sprintf("end the process that attached it (bpftool link), or ip link set %s xdp off", info.Name)
	}
	return f
}

func judgeXDP(info *afxdp.Info) Finding {
	f := Finding{Subject: info.Name + " XDP", Level: OK, Fact: "native, with redirection"}
	switch {
	case info.XDPUnknown != nil:
		f.Level, f.Fact, f.Cure = Note, "unknown: "+info.XDPUnknown.Error(), "xdpstack tries native XDP first, then generic"
	case !info.XDP.Has(afxdp.FeatureBasic):
		f.Level, f.Fact = Warn, "generic only: the driver does not run XDP programs"
		f.Cure = "it works, slowly; for speed use a driver with native XDP (or see whether an offload such as LRO hides it)"
	case !info.XDP.Has(afxdp.FeatureRedirect):
		f.Level, f.Fact = Warn, "native, but without redirection"
		f.Cure = "use --attach generic, or a driver that can redirect"
	}
	return f
}

// zeroCopyFrames says of how many frames a packet may be with zero-copy, if the kernel tells.
func zeroCopyFrames(info *afxdp.Info) string {
	switch info.ZeroCopyFrames {
	case 0:
		return ""
	case 1:
		return ", packets of one frame only"
	}
	return fmt.Sprintf(", packets of up to %d frames", info.ZeroCopyFrames)
}

// judgeMetadata tells what the driver knows about packets beside their bytes.
func judgeMetadata(info *afxdp.Info) Finding {
	f := Finding{Subject: info.Name + " metadata", Level: OK}
	if !info.RxMetadata.Known() || !info.TxMetadata.Known() {
		f.Level, f.Fact = Note, "unknown: the kernel does not tell"
		f.Cure = "nothing to do: Linux 6.8 tells, and is the first to transmit with it"
		return f
	}
	f.Fact = fmt.Sprintf("received: %v; transmitted with zero-copy: %v", info.RxMetadata, info.TxMetadata)
	if info.TxMetadata.Has(afxdp.TransmitChecksum) {
		f.Fact += "; the card computes checksums with zero-copy, the stack otherwise"
	} else {
		f.Fact += "; the stack computes checksums"
	}
	return f
}

func judgeQueues(info *afxdp.Info) Finding {
	f := Finding{Subject: info.Name + " queues", Level: OK, Fact: fmt.Sprintf("%d receive, %d transmit", info.RxQueues, info.TxQueues)}
	if info.RxRing > 0 {
		f.Fact += fmt.Sprintf("; rings of %d and %d", info.RxRing, info.TxRing)
	}
	if info.TxQueues < info.RxQueues {
		f.Level = Warn
		f.Cure = fmt.Sprintf("make them equal (ethtool -L %s): a receive queue without a transmit queue cannot be served", info.Name)
	}
	return f
}

// largeFrameMTU is of the largest packets that fit a frame with what the kernel and the link need: 4096 - 256 of headroom - 22 of link
// header.
const largeFrameMTU = 4096 - 256 - 22

func judgeMTU(info *afxdp.Info) Finding {
	f := Finding{Subject: info.Name + " MTU", Level: OK, Fact: fmt.Sprint(info.MTU)}
	switch {
	case info.MTU > largeFrameMTU && info.XDPUnknown != nil:
		f.Level = Note
		f.Cure = fmt.Sprintf("packets of more than %d need several frames (multi-buffer): whether the driver has that is unknown",
			largeFrameMTU)
	case info.MTU > largeFrameMTU && !info.XDP.Has(afxdp.FeatureReceiveMulti):
		f.Level, f.Fact = Warn, f.Fact+", and no multi-buffer in the driver: frames pass through generic XDP, behind it"
		f.Cure = fmt.Sprintf("ip link set %s mtu 1500, or up to about 3000, with which drivers without multi-buffer run XDP themselves",
			info.Name)
	case info.MTU > largeFrameMTU:
		f.Fact += ", with packets in several frames (multi-buffer)"
	case info.FrameSize(afxdp.Options{}) == 4096:
		f.Fact += fmt.Sprintf(", in frames of 4 KiB: %d MiB of packet memory a queue", 2*PerQueue>>20)
	case info.MTU < 576:
		f.Level, f.Cure = Warn, fmt.Sprintf("ip link set %s mtu 1500: so small a packet is mostly header", info.Name)
	}
	return f
}
