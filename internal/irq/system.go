package irq

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// System is where a machine tells about itself. The zero System is this machine; tests have directories of their own.
type System struct {
	Root string // of proc and sys; default /
}

// Interrupt is one interrupt of a device.
type Interrupt struct {
	Number int
	Name   string // the driver's, from /proc/interrupts
}

func (s System) path(parts ...string) string {
	return filepath.Join(append([]string{"/", s.Root}, parts...)...)
}

func (s System) read(parts ...string) (string, error) {
	b, err := os.ReadFile(s.path(parts...))
	return strings.TrimSpace(string(b)), err
}

// Interrupts returns the interrupts of an interface's device, in the order of their numbers: none for a virtual one.
func (s System) Interrupts(iface string) ([]Interrupt, error) {
	entries, err := os.ReadDir(s.path("sys/class/net", iface, "device/msi_irqs"))
	if err != nil {
		// A virtio device has them at its parent, which is the one on the bus.
		entries, err = os.ReadDir(s.path("sys/class/net", iface, "device") + "/../msi_irqs") // of what device is a link to
	}
	if err != nil {
		return nil, nil
	}
	names, err := s.names()
	if err != nil {
		return nil, err
	}
	var all []Interrupt
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil && names[n] != "" {
			all = append(all, Interrupt{n, names[n]})
		}
	}
	slices.SortFunc(all, func(a, b Interrupt) int { return a.Number - b.Number })
	return all, nil
}

// names returns the name of each interrupt that is in use. A line of /proc/interrupts is the number, a count for each CPU, the chip, the
// pin and the names.
func (s System) names() (map[int]string, error) {
	f, err := os.Open(s.path("proc/interrupts"))
	if err != nil {
		return nil, fmt.Errorf("irq: %w", err)
	}
	defer f.Close()
	names := make(map[int]string)
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20) // a count for each of many CPUs
	for lines.Scan() {
		number, rest, ok := strings.Cut(strings.TrimSpace(lines.Text()), ":")
		n, err := strconv.Atoi(number)
		if fields := strings.Fields(rest); ok && err == nil && len(fields) > 0 {
			names[n] = fields[len(fields)-1]
		}
	}
	return names, lines.Err()
}

// ForQueue returns the interrupt that tells of packets on a receive queue, by the names that drivers give them: a word for the direction,
// if each has its own, and the queue's number at the end or before an @.
func ForQueue(all []Interrupt, queue int) (Interrupt, bool) {
	for _, i := range all {
		name, _, _ := strings.Cut(strings.ToLower(i.Name), "@")
		digits := len(name) - len(strings.TrimRight(name, "0123456789"))
		n, err := strconv.Atoi(name[len(name)-digits:])
		if err != nil || n != queue {
			continue
		}
		stem := name[:len(name)-digits]
		rx := strings.Contains(stem, "rx") || strings.Contains(stem, "input") || strings.HasSuffix(stem, "comp")
		tx := strings.Contains(stem, "tx") || strings.Contains(stem, "output")
		if rx || !tx && strings.ContainsAny(stem[max(len(stem)-1, 0):], "-._q") {
			return i, true
		}
	}
	return Interrupt{}, false
}

// Affinity returns the CPUs that an interrupt may go to, and those that it does go to, as far as that is told.
func (s System) Affinity(number int) (allowed, effective []int, err error) {
	list, err := s.read("proc/irq", strconv.Itoa(number), "smp_affinity_list")
	if err != nil {
		return nil, nil, fmt.Errorf("irq: %w", err)
	}
	if allowed, err = ParseList(list); err != nil {
		return nil, nil, err
	}
	if list, err = s.read("proc/irq", strconv.Itoa(number), "effective_affinity_list"); err != nil {
		return allowed, allowed, nil // kernels before 4.15
	}
	if effective, err = ParseList(list); err != nil || len(effective) == 0 {
		effective = allowed
	}
	return allowed, effective, nil
}

// SetAffinity says which CPUs an interrupt may go to.
func (s System) SetAffinity(number int, cpus []int) error {
	path := s.path("proc/irq", strconv.Itoa(number), "smp_affinity_list")
	if err := os.WriteFile(path, []byte(FormatList(cpus)), 0o644); err != nil {
		return fmt.Errorf("irq: %w", err)
	}
	return nil
}

// Node returns the NUMA node that an interface's device is on, -1 if it is on none or that is not told.
func (s System) Node(iface string) int {
	text, err := s.read("sys/class/net", iface, "device/numa_node")
	if n, e := strconv.Atoi(text); err == nil && e == nil && n >= 0 {
		return n
	}
	return -1
}

// NodeCPUs returns those of some CPUs that are on a node; all of them if none is, or the node is not known.
func (s System) NodeCPUs(node int, usable []int) []int {
	if node < 0 {
		return usable
	}
	text, err := s.read("sys/devices/system/node", fmt.Sprint("node", node), "cpulist")
	of, e := ParseList(text)
	if err != nil || e != nil {
		return usable
	}
	var near []int
	for _, c := range usable {
		if slices.Contains(of, c) {
			near = append(near, c)
		}
	}
	if len(near) == 0 {
		return usable
	}
	return near
}

// near returns the CPUs that share a cache with one, the closest first, without itself; then those of its node.
func (s System) near(cpu int) []int {
	var all []int
	add := func(list string, err error) {
		cpus, e := ParseList(list)
		if err != nil || e != nil {
			return
		}
		for _, c := range cpus {
			if c != cpu && !slices.Contains(all, c) {
				all = append(all, c)
			}
		}
	}
	dir := filepath.Join("sys/devices/system/cpu", fmt.Sprint("cpu", cpu))
	for level := range 4 { // index0 and index1 are the two of the first level, index3 is the last
		add(s.read(dir, "cache", fmt.Sprint("index", level), "shared_cpu_list"))
	}
	nodes, _ := filepath.Glob(s.path(dir, "node[0-9]*"))
	for _, n := range nodes {
		add(s.read("sys/devices/system/node", filepath.Base(n), "cpulist"))
	}
	return all
}

// Place chooses a CPU for the thread that serves each of some queues, by the CPUs that their interrupts go to, -1 if that is not known:
// one near that CPU but another, so that both work at the same time on what is in one cache, and no two the same. It returns nil if
// that would help less than it costs: when no interrupt is known, or when interrupts and queues would take all usable CPUs, because the
// rest of the program needs one too.
func (s System) Place(interrupts []int, usable []int) []int {
	if len(usable) <= 2*len(interrupts) || !slices.ContainsFunc(interrupts, func(c int) bool { return c >= 0 }) {
		return nil
	}
	taken := make(map[int]bool)
	for _, c := range interrupts {
		taken[c] = true
	}
	placed := make([]int, len(interrupts))
	for i, c := range interrupts {
		placed[i] = -1
		if c < 0 {
			continue
		}
		for _, n := range s.near(c) {
			if !taken[n] && slices.Contains(usable, n) {
				taken[n], placed[i] = true, n
				break
			}
		}
	}
	return placed
}
