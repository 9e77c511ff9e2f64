package main

import (
	"io/fs"
	"path"
	"slices"
	"strings"
)

// configuration is one guest that the suite boots.
type configuration struct {
	name    string // part of the package names in the report
	nic     string
	queues  int
	options string   // of the cards
	only    selected // these tests, which make no sense in the other guests, in place of all
}

var configurations = []configuration{
	{name: "virtio-1q", nic: "virtio", queues: 1},
	{name: "virtio-2q", nic: "virtio", queues: 2},
	{name: "igb-1q", nic: "igb", queues: 1},
	{name: "igb-2q", nic: "igb", queues: 2},
	// A card that does its own DMA mapping, which is how most virtual machines have it.
	{name: "virtio-plain", nic: "virtio", queues: 1, options: "iommu_platform=off",
		only: selected{dir: "afxdp", one: []string{"TestNICPlainDMA"}}},
}

// selected is a package, and those of its tests that run in the guests with one queue, in those of virtio alone, and in those with
// several queues. With one queue each test for network cards runs too, whose name begins with TestNIC; with several, those that have
// Queue in their names. A test is here because it shows something that veth cannot.
//
// What runs on igb costs most: it loses its link whenever a program or a socket comes or goes, so that each opening is 5 s of waiting,
// where virtio takes one. So there only one of each kind runs.
type selected struct {
	dir     string
	one     []string
	virtio  []string
	several []string
	cards   bool // has tests for network cards
}

var selection = []selected{
	// The driver: what every device must do, over the rings, DMA and interrupts of a real one.
	{dir: "afxdp",
		one: []string{"TestTransmit", "TestBelow"},
		virtio: []string{
			"TestReceive", "TestTail", "TestTransmitBurst", "TestReceiveBurst", "TestPoolExhaustion", "TestWake", "TestLinkFlap",
			"TestNoAllocation", "TestReopen", "TestReceiveHints", "TestCardDownWithFrames", "TestCardCloseWithFrames",
		},
		several: []string{"TestTwoQueues"},
	},
	// Whole stacks against the TCP of the guest's kernel.
	{dir: "stack",
		one: []string{"TestDialToKernel", "TestCardLinkLife"},
		virtio: []string{
			"TestKernelHTTPClient", "TestFramesInTransmission", "TestCardDriverUnbound", "TestStackComputesWithoutMetadata",
			"TestCardChecksumsInCopyMode", "TestCardLargeMTU", "TestSharedVLAN", "TestOwnAddressOnVLAN",
		},
		several: []string{"TestSeveralQueues", "TestCardDialsToServedQueue", "TestCardTableChanges", "TestUpgradeOfTwoQueues"},
	},
	// What the kernel counts of frames is not what it counts with zero-copy.
	{dir: "gen/receive", virtio: []string{"TestEveryDropHasItsReason"}},
	// The program in these drivers.
	{dir: "bpf", virtio: []string{"TestAttachModes"}},
}

// notOnIGB are tests for network cards that take 25 s and more there, and are left to virtio.
var notOnIGB = []string{"TestNICBusyPoll", "TestNICZeroCopyRefused", "TestNICModeIsTold"}

// What tests for network cards are called, and what their files are.
const (
	nicPattern      = "TestNIC.*"
	nicQueuePattern = "TestNIC.*Queue.*"
	nicFiles        = "_nic_test.go"
)

// packages is the selection, and after it the other packages below the root that have tests for network cards.
func packages(root fs.FS) ([]selected, error) {
	all := slices.Clone(selection)
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && strings.HasPrefix(d.Name(), "."), d.IsDir() && name == "bin":
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, nicFiles):
			return nil
		}
		dir := path.Dir(name)
		i := slices.IndexFunc(all, func(s selected) bool { return s.dir == dir })
		if i < 0 {
			i = len(all)
			all = append(all, selected{dir: dir})
		}
		all[i].cards = true
		return nil
	})
	return all, err
}

// patterns are the values of the flags -run and -skip in a guest; run is empty if the package has nothing to run there.
func (s selected) patterns(c configuration) (run, skip string) {
	if c.only.dir != "" {
		if c.only.dir != s.dir {
			return "", ""
		}
		return anyOf(c.only.one), ""
	}
	names, cards := slices.Clone(s.one), nicPattern
	switch {
	case c.queues > 1:
		names, cards = slices.Clone(s.several), nicQueuePattern
	case c.nic == "virtio":
		names = append(names, s.virtio...)
	}
	if len(names) == 0 && (!s.cards || c.queues > 1) {
		return "", ""
	}
	if s.cards {
		names = append(names, cards)
	}
	var others []string
	if c.nic == "igb" {
		others = slices.Clone(notOnIGB)
	}
	for _, other := range configurations {
		others = append(others, other.only.one...)
	}
	return anyOf(names), anyOf(others)
}

func anyOf(names []string) string { return "^(" + strings.Join(names, "|") + ")$" }
