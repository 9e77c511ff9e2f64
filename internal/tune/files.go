package tune

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/xdpstack/xdpstack/internal/irq"
	"github.com/xdpstack/xdpstack/internal/netdev"
)

// What is proposed for the kernel's receive work if the shards poll busily: it leaves the interrupt off for so many empty rounds,
// and then for as long as somebody polls, up to a timer (Documentation/networking/napi.rst, "Software IRQ coalescing"). If nobody
// polls, packets wait for the timer: over veth a round of request and response takes 105 µs instead of 31 with 20 µs, so the
// proposal is then to have neither.
const (
	wantedDefer = 2
	wantedFlush = 200_000 // ns
)

// hugePageMiB is the packet memory of one queue by default, which pages of 2 MiB are reserved for.
const hugePageMiB = 32

// fileKnob is a setting that is the text of a file.
func fileKnob(name, path, why string, want func(now string) (string, error)) knob {
	return knob{
		name: name, why: why, want: want,
		read: func() (string, error) {
			b, err := os.ReadFile(path)
			if errors.Is(err, fs.ErrNotExist) {
				err = fmt.Errorf("%w: the kernel has no %s", errLacks, path)
			}
			return strings.TrimSpace(string(b)), err
		},
		write: func(value string) error { return os.WriteFile(path, []byte(value), 0) },
	}
}

// always proposes a value whatever is there.
func always(value int) func(string) (string, error) {
	return func(string) (string, error) { return strconv.Itoa(value), nil }
}

// attribute is a setting of the interface in sysfs. A sysfs of another namespace may have another interface of that name.
func (t *Tuner) attribute(name, why string, value int) knob {
	dir := filepath.Join("/sys/class/net", t.Interface)
	k := fileKnob(name, filepath.Join(dir, name), why, always(value))
	read := k.read
	k.read = func() (string, error) {
		index, err := os.ReadFile(filepath.Join(dir, "ifindex"))
		if err != nil || strings.TrimSpace(string(index)) != strconv.Itoa(t.info.Index) {
			return "", fmt.Errorf("%w: /sys is another network namespace's (ip netns exec mounts the right one)", errLacks)
		}
		return read()
	}
	return k
}

func (t *Tuner) deferKnob() knob {
	if t.perQueue() {
		return t.attribute("napi_defer_hard_irqs", "the stack defers the interrupts of its own queues alone, by itself", 0)
	}
	if t.BusyPoll {
		return t.attribute("napi_defer_hard_irqs", "the shards poll instead of waiting for interrupts", wantedDefer)
	}
	return t.attribute("napi_defer_hard_irqs", "without busy polling, packets would wait for a timer", 0)
}

func (t *Tuner) flushKnob() knob {
	if t.perQueue() {
		return t.attribute("gro_flush_timeout", "the stack sets the timer of its own queues alone, by itself", 0)
	}
	if t.BusyPoll {
		return t.attribute("gro_flush_timeout", "ns without a poll until interrupts come again", wantedFlush)
	}
	return t.attribute("gro_flush_timeout", "without busy polling, packets would wait for it", 0)
}

// perQueue reports whether interrupts can be deferred for each queue (Linux 6.13), which the stack does where it polls: other
// queues than its own are to keep their interrupts.
func (t *Tuner) perQueue() bool {
	pairs, err := netdev.Pairs(t.info.Index)
	return t.BusyPoll && err == nil && len(pairs) > 0 && pairs[0].Receive.GROFlush != netdev.Unknown
}

// hugePagesKnob reserves enough pages for the packet memory of all queues, beside those that others use.
func (t *Tuner) hugePagesKnob() knob {
	return fileKnob("vm.nr_hugepages", "/proc/sys/vm/nr_hugepages", "packet memory with fewer TLB misses: 16 pages of 2 MiB for each queue",
		func(now string) (string, error) {
			m, err := os.ReadFile("/proc/meminfo")
			if err != nil {
				return now, err
			}
			var free, size int
			for line := range strings.Lines(string(m)) {
				_, _ = fmt.Sscanf(line, "HugePages_Free: %d", &free) // other lines do not match
				_, _ = fmt.Sscanf(line, "Hugepagesize: %d kB", &size)
			}
			if size != 2048 {
				return now, fmt.Errorf("%w: huge pages have %d KiB here, not 2 MiB", errLacks, size)
			}
			have, err := strconv.Atoi(now)
			return strconv.Itoa(have + max(t.info.Queues()*hugePageMiB/2-free, 0)), err
		})
}

// interruptKnobs are the CPUs of the queues' interrupts: each queue's on one of its own, spread over the CPUs of the device's
// NUMA node.
func (t *Tuner) interruptKnobs() ([]knob, error) {
	named, err := t.system.Interrupts(t.Interface)
	if err != nil {
		return nil, err
	}
	pairs, _ := netdev.Pairs(t.info.Index) // the names of interrupts tell too
	cpus := t.system.NodeCPUs(t.info.Node, t.usable)
	var all []knob
	for q := range t.info.RxQueues {
		number := -1
		if q < len(pairs) {
			number = pairs[q].Receive.IRQ
		}
		if i, ok := irq.ForQueue(named, q); ok && number < 0 {
			number = i.Number
		}
		if number >= 0 && len(cpus) > 0 {
			all = append(all, t.interruptKnob(q, number, cpus[q*max(len(cpus)/t.info.RxQueues, 1)%len(cpus)]))
		}
	}
	if len(all) == 0 {
		none := func() (string, error) {
			return "", fmt.Errorf("%w: the device has no interrupts, or does not tell which are its queues'", errLacks)
		}
		all = append(all, knob{name: "interrupt affinity", read: none, why: "each queue on a CPU of its own"})
	}
	return all, nil
}

func (t *Tuner) interruptKnob(queue, number, cpu int) knob {
	return knob{
		name: fmt.Sprintf("interrupt %d, of queue %d", number, queue),
		why:  "each queue on a CPU of its own, near the device; irqbalance, if it runs, must leave it alone",
		read: func() (string, error) {
			allowed, _, err := t.system.Affinity(number)
			return "CPU " + irq.FormatList(allowed), err
		},
		want: func(string) (string, error) { return "CPU " + strconv.Itoa(cpu), nil },
		write: func(value string) error {
			cpus, err := irq.ParseList(strings.TrimPrefix(value, "CPU "))
			if err != nil {
				return err
			}
			return t.system.SetAffinity(number, cpus)
		},
	}
}
