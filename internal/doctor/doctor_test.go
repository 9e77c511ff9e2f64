package doctor

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/internal/copycount"
	"github.com/xdpstack/xdpstack/internal/netdev"
	"github.com/xdpstack/xdpstack/internal/rss"
	"github.com/xdpstack/xdpstack/internal/snapshot"
)

const allCaps = 1<<unix.CAP_NET_RAW | 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_BPF | 1<<unix.CAP_IPC_LOCK

// served makes pairs of queues: which NAPI serves the first one's receive and transmit queue, the second one's, and so on.
func served(ids ...uint32) (all []netdev.Pair) {
	for i := 0; i < len(ids); i += 2 {
		all = append(all, netdev.Pair{Receive: netdev.NAPI{ID: ids[i]}, Transmit: netdev.NAPI{ID: ids[i+1]}})
	}
	return all
}

// stackOf is a running stack with queues in these modes.
func stackOf(modes ...string) []snapshot.Snapshot {
	s := snapshot.Snapshot{Interface: "x0"}
	for i, m := range modes {
		q := snapshot.Queue{Number: i, Mode: m}
		if m != snapshot.ZeroCopy {
			q.Reason = "whatever"
		}
		s.Queues = append(s.Queues, q)
	}
	return []snapshot.Snapshot{s}
}

// Every verdict, with a word of its advice.
func TestVerdicts(t *testing.T) {
	up := afxdp.Info{Name: "x0", MAC: [6]byte{2, 5: 1}, Up: true, Carrier: true, MTU: 1500, Kind: "device", Driver: "ice", RxQueues: 4, TxQueues: 4,
		XDP: afxdp.FeatureBasic | afxdp.FeatureRedirect | afxdp.FeatureZeroCopy}
	with := func(change func(*afxdp.Info)) *afxdp.Info {
		i := up
		change(&i)
		return &i
	}
	table, err := rss.NewTable(&rss.Settings{Key: []byte("a key of at least sixteen bytes"), Queues: []uint32{0, 1, 2, 3}})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		got   Finding
		level Level
		says  string // part of fact or advice
	}{
		"a VLAN":         {judgeVLAN("x0.7", "x0", 7), OK, "VLAN 7 on x0"},
		"a VLAN on veth": {judgePeerTags("x0"), Note, "txvlan off"},
		"shareable": {judgeLink(with(func(i *afxdp.Info) { i.Addresses = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")} })), OK,
			"--shared"},
		"kernel 6.18":          {judgeKernel("6.18.44-x"), OK, "6.18"},
		"kernel 5.4":           {judgeKernel("5.4.0-1"), Fail, "upgrade"},
		"kernel 5.10":          {judgeKernel("5.10.0"), Note, "5.11"},
		"kernel 6.1":           {judgeKernel("6.1.0-13-amd64"), Note, "6.3"},
		"kernel unknown":       {judgeKernel(""), Warn, "check"},
		"socket":               {judgeSocket(nil), OK, "available"},
		"socket not built in":  {judgeSocket(unix.EAFNOSUPPORT), Fail, "CONFIG_XDP_SOCKETS"},
		"socket forbidden":     {judgeSocket(unix.EPERM), Fail, "CAP_NET_RAW"},
		"socket filtered":      {judgeSocket(unix.EINVAL), Fail, "seccomp"},
		"bpf":                  {judgeBPF(nil), OK, "XSKMAP"},
		"bpf forbidden":        {judgeBPF(fmt.Errorf("x: %w", unix.EPERM)), Fail, "CAP_BPF"},
		"bpf not built in":     {judgeBPF(fmt.Errorf("x: %w", ebpf.ErrNotSupported)), Fail, "CONFIG_BPF_SYSCALL"},
		"bpf unclear":          {judgeBPF(errors.New("odd")), Warn, "root"},
		"jit":                  {judgeJIT("1"), OK, "on"},
		"jit off":              {judgeJIT("0"), Warn, "sysctl"},
		"jit unknown":          {judgeJIT(""), Note, "sysctl"},
		"cpus":                 {judgeCPUs(2), OK, "2"},
		"one cpu":              {judgeCPUs(1), Warn, "two"},
		"capabilities":         {judgeCapabilities(allCaps, nil), OK, "CAP_BPF"},
		"sys_admin for bpf":    {judgeCapabilities(1<<unix.CAP_NET_RAW|1<<unix.CAP_NET_ADMIN|1<<unix.CAP_SYS_ADMIN, nil), OK, ""},
		"no capabilities":      {judgeCapabilities(0, nil), Fail, "setcap cap_net_raw,cap_net_admin,cap_bpf"},
		"capabilities unknown": {judgeCapabilities(0, unix.EINVAL), Warn, "root"},
		"memlock, capable":     {judgeMemlock(0, allCaps), OK, "CAP_IPC_LOCK"},
		"memlock unlimited":    {judgeMemlock(unix.RLIM_INFINITY, 0), OK, "not limited"},
		"memlock 8 MiB":        {judgeMemlock(8<<20, 0), Fail, "ulimit -l"},
		"memlock 64 MiB":       {judgeMemlock(64<<20, 0), Note, "2 queues"},
		"memory":               {judgeMemory(meminfo{known: true, available: 8 << 30}), OK, "8192 MiB"},
		"little memory":        {judgeMemory(meminfo{known: true, available: 50 << 20}), Warn, "free some"},
		"memory unknown":       {judgeMemory(meminfo{}), Note, "32 MiB"},
		"huge pages":           {judgeHugePages(64), OK, "64"},
		"no huge pages":        {judgeHugePages(15), Note, "vm.nr_hugepages=16"},
		"huge pages, other":    {judgeHugePages(-1), OK, "ordinary"},
		"memlock, liftable":    {judgeMemlock(0, 1<<unix.CAP_SYS_RESOURCE), OK, "lifted"},
		"interface":            {judgeLink(&up), OK, "ice"},
		"interface, addresses": {judgeLink(with(func(i *afxdp.Info) { i.Addresses = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")} })), OK, "192.0.2.1/24"},
		"policy rules":         {judgeRules("x0", []string{"90: dport, ipproto"}), Note, "ip rule add priority"},
		"interface down":       {judgeLink(with(func(i *afxdp.Info) { i.Up = false })), Fail, "ip link set x0 up"},
		"no Ethernet":          {judgeLink(with(func(i *afxdp.Info) { i.MAC = [6]byte{} })), Fail, "a network card"},
		"no carrier":           {judgeLink(with(func(i *afxdp.Info) { i.Carrier = false })), Warn, "cable"},
		"program attached":     {judgeProgram(with(func(i *afxdp.Info) { i.Program = 7 }), false), Fail, "xdp off"},
		"native":               {judgeXDP(&up), OK, "native"},
		"generic":              {judgeXDP(with(func(i *afxdp.Info) { i.XDP = 0 })), Warn, "generic"},
		"no redirection":       {judgeXDP(with(func(i *afxdp.Info) { i.XDP = afxdp.FeatureBasic })), Warn, "--attach generic"},
		"features unknown":     {judgeXDP(with(func(i *afxdp.Info) { i.XDPUnknown = unix.ENOSYS })), Note, "tries"},
		"zero-copy, frames":    {judgeZeroCopy(with(func(i *afxdp.Info) { i.ZeroCopyFrames = 18 }), nil), OK, "up to 18 frames"},
		"zero-copy, one frame": {judgeZeroCopy(with(func(i *afxdp.Info) { i.ZeroCopyFrames = 1 }), nil), OK, "one frame only"},
		"metadata": {judgeMetadata(with(func(i *afxdp.Info) { i.TxMetadata = afxdp.TransmitChecksum })), OK,
			"received: none; transmitted with zero-copy: tx-checksum; the card computes"},
		"no metadata":          {judgeMetadata(&up), OK, "the stack computes checksums"},
		"metadata unknown":     {judgeMetadata(with(func(i *afxdp.Info) { i.RxMetadata = netdev.RxMetadataUnknown })), Note, "unknown"},
		"zero-copy":            {judgeZeroCopy(&up, nil), OK, "supported"},
		"zero-copy on veth":    {judgeZeroCopy(with(func(i *afxdp.Info) { i.Kind, i.XDP = "veth", afxdp.FeatureBasic }), nil), Note, "veth"},
		"no zero-copy":         {judgeZeroCopy(with(func(i *afxdp.Info) { i.XDP = afxdp.FeatureBasic }), nil), Note, "ice has none"},
		"zero-copy unknown":    {judgeZeroCopy(with(func(i *afxdp.Info) { i.XDPUnknown = unix.ENOSYS }), nil), Note, "unknown"},
		"zero-copy and MTU":    {judgeZeroCopy(with(func(i *afxdp.Info) { i.MTU = 9000 }), nil), Note, "MTU of 9000"},
		"zero-copy in use":     {judgeZeroCopy(&up, stackOf("zero-copy", "zero-copy")), OK, "all 2 queues"},
		"zero-copy, a queue":   {judgeZeroCopy(&up, stackOf("zero-copy")), OK, "in use by"},
		"zero-copy, in part":   {judgeZeroCopy(&up, stackOf("zero-copy", "copy")), Warn, "1 of 2 queues of the stack that runs: whatever"},
		"copied on veth":       {judgeZeroCopy(with(func(i *afxdp.Info) { i.Kind = "veth" }), stackOf("copy")), Note, "not in use"},
		"program of the stack": {judgeProgram(with(func(i *afxdp.Info) { i.Program = 7 }), true), OK, "of the stack"},
		"no copies":            {judgeCopies("x0", time.Second, 10, copycount.Counts{}, nil), OK, "none of the 10"},
		"copies":               {judgeCopies("x0", time.Second, 10, copycount.Counts{Received: 4, Sent: 6}, nil), Note, "4 packets copied in, 6 out"},
		"copies missed":        {judgeCopies("x0", time.Second, 10, copycount.Counts{Missed: 1}, nil), Note, "1 calls were missed"},
		"no packets":           {judgeCopies("x0", time.Second, 0, copycount.Counts{}, nil), Note, "no stack"},
		"copies not counted":   {judgeCopies("x0", time.Second, 0, copycount.Counts{}, copycount.ErrUnsupported), Note, "KPROBES"},
		"queues":               {judgeQueues(&up), OK, "4 receive"},
		"few tx queues":        {judgeQueues(with(func(i *afxdp.Info) { i.TxQueues = 1 })), Warn, "ethtool -L x0"},
		"mtu":                  {judgeMTU(&up), OK, "1500"},
		"mtu 3000":             {judgeMTU(with(func(i *afxdp.Info) { i.MTU = 3000 })), OK, "4 KiB: 64 MiB"},
		"mtu 1500 of igb":      {judgeMTU(with(func(i *afxdp.Info) { i.Driver = "igb" })), OK, "4 KiB"},
		"mtu 9000":             {judgeMTU(with(func(i *afxdp.Info) { i.MTU, i.XDP = 9000, i.XDP|afxdp.FeatureReceiveMulti })), OK, "multi-buffer"},
		"mtu 9000, one buffer": {judgeMTU(with(func(i *afxdp.Info) { i.MTU = 9000 })), Warn, "mtu 1500"},
		"mtu 9000, unknown":    {judgeMTU(with(func(i *afxdp.Info) { i.MTU, i.XDPUnknown = 9000, errors.New("too old") })), Note, "unknown"},
		"left deferred":        {judgeDeferral(&up), Warn, "opens x0"},
		"busy polling":         {judgeBusyPoll(&up, polling{}, served(7, 7, 8, 8), nil), OK, "each queue alone"},
		"poll to receive":      {judgeBusyPoll(&up, polling{}, served(7, 0, 8, 9), nil), OK, "of its own"},
		"some busy polling":    {judgeBusyPoll(&up, polling{}, served(1, 1, 0, 0), nil), Note, "1 of 2"},
		"no busy polling":      {judgeBusyPoll(&up, polling{}, served(0, 0), nil), Note, "no effect"},
		"busy polling, old":    {judgeBusyPoll(&up, polling{}, nil, netdev.ErrUnknown), Note, "6.8"},
		"busy polling?":        {judgeBusyPoll(&up, polling{}, nil, unix.EPERM), Note, "--busy-poll"},
		"busy polling, seen":   {judgeBusyPoll(&up, polling{asked: true, polls: 7}, served(0, 0), nil), OK, "7 times"},
		"asked for in vain":    {judgeBusyPoll(&up, polling{asked: true}, served(0, 0), nil), Warn, "not active"},
		"hash":                 {judgeHash(&up, table, nil), OK, "4 entries"},
		"hash unknown":         {judgeHash(&up, nil, rss.ErrUnknown), Note, "copied"},
		"hash of one queue":    {judgeHash(with(func(i *afxdp.Info) { i.RxQueues = 1 }), nil, rss.ErrUnknown), OK, "one queue"},
		"peer":                 {judgePeer(peer{name: "y0"}, nil), OK, "y0"},
		"peer offloads":        {judgePeer(peer{name: "y0", namespace: "n", txSum: true}, nil), Fail, "ip netns exec n ethtool -K y0 tx off"},
		"peer hidden":          {judgePeer(peer{}, errPeerHidden), Note, "tx off"},
	} {
		t.Run(name, func(t *testing.T) {
			f := tt.got
			if f.Level != tt.level || !strings.Contains(f.Fact+"\n"+f.Cure, tt.says) {
				t.Errorf("got %+v, want level %s and %q", f, tt.level, tt.says)
			}
			if f.Level != OK && f.Cure == "" {
				t.Errorf("%+v has no advice", f)
			}
			if f.Subject == "" || f.Fact == "" || strings.Contains(f.Cure, "\n") {
				t.Errorf("%+v is incomplete, or its advice is not one line", f)
			}
		})
	}
}

func TestMachineFindsWhatIsThere(t *testing.T) {
	findings := Machine()
	seen := map[string]bool{}
	for _, f := range findings {
		seen[f.Subject] = true
	}
	for _, want := range []string{"kernel", "AF_XDP sockets", "BPF", "capabilities", "locked memory", "memory", "CPUs"} {
		if !seen[want] {
			t.Errorf("nothing about %s", want)
		}
	}
}

func TestNoSuchInterface(t *testing.T) {
	f := Interface("xs-none")
	if len(f) != 1 || f[0].Level != Fail || f[0].Cure == "" || Worst(f) != Fail {
		t.Errorf("got %+v", f)
	}
}

func TestParseMeminfo(t *testing.T) {
	m := parseMeminfo("MemTotal:  100 kB\nMemAvailable:   64 kB\nHugePages_Free:   3\n")
	if want := (meminfo{available: 64 << 10, known: true}); m != want {
		t.Errorf("got %+v, want %+v", m, want)
	}
}
