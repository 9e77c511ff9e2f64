package vm

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/xdpstack/xdpstack/internal/vm/guest"
)

// Config says what machine the guest is. The zero Config has two virtio cards of one queue each.
type Config struct {
	NIC        string        // "virtio" or "igb"; default virtio
	Queues     int           // pairs of queues of each card, at most 8; default 1
	Wire       string        // how the two cards are joined: "hub", inside QEMU, or "tap", see below; by default the hub where it will do
	Processors int           // default 2
	Memory     int           // MiB; default 1024
	Accel      string        // "tcg", plain emulation, which is the same everywhere, "count", see below, or "kvm"; default tcg
	Options    string        // more properties of both cards, "iommu_platform=off" for example
	Append     string        // more of the kernel's command line
	Boot       time.Duration // how long the guest may take to start; default 90 s
	Console    string        // a file that gets what the guest's kernel says; default none
}

// A guest with the accelerator "count" is emulated, too, but its clock counts its instructions, one for each nanosecond, and does
// not wait when there are none: whatever else the host does, a time in the guest is a number of instructions. All its processors
// share that clock, so it should have one.

func (c *Config) setDefaults() error {
	set(&c.NIC, "virtio")
	set(&c.Queues, 1)
	set(&c.Processors, 2)
	set(&c.Memory, 1024)
	set(&c.Accel, "tcg")
	set(&c.Boot, 90*time.Second)
	if c.Wire == "" {
		c.Wire = "hub"
		if c.NIC == "virtio" && c.Queues > 1 {
			c.Wire = "tap" // the hub has one queue; igb spreads what it gets by itself
		}
	}
	switch {
	case c.NIC != "virtio" && c.NIC != "igb":
		return fmt.Errorf("vm: no network card %q: virtio or igb", c.NIC)
	case c.Wire != "hub" && c.Wire != "tap":
		return fmt.Errorf("vm: no wire %q: hub or tap", c.Wire)
	case c.Accel != "tcg" && c.Accel != "count" && c.Accel != "kvm":
		return fmt.Errorf("vm: no accelerator %q: tcg, count or kvm", c.Accel)
	case c.Queues < 1 || c.Queues > maxQueues:
		return fmt.Errorf("vm: %d queues: 1 to %d", c.Queues, maxQueues)
	case c.Wire == "hub" && c.NIC == "virtio" && c.Queues > 1:
		return fmt.Errorf("vm: virtio cards of %d queues need a wire of as many: tap, not hub", c.Queues)
	case c.Processors < c.Queues:
		return fmt.Errorf("vm: %d queues need as many processors; there are %d", c.Queues, c.Processors)
	}
	return nil
}

const maxQueues = 8

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// kernelArguments are what every guest's kernel is told. What they leave out saves time: the guest lives for seconds.
const kernelArguments = "console=ttyS0 quiet loglevel=4 panic=-1 mitigations=off nokaslr audit=0 selinux=0 apparmor=0 " +
	"random.trust_cpu=1 tsc=reliable no_timer_check cryptomgr.notests initcall_blacklist=load_system_certificate_list " +
	"rdinit=" + guest.InitPath

// emulatedCPU has all that QEMU can emulate but the fast string instructions, which it does byte by byte: the kernel would choose
// them to copy, eight times as dear as what it has otherwise.
const emulatedCPU = "max,erms=off,fsrm=off"

// The descriptors that QEMU inherits: its end of the report's connection, the initramfs, and the file for the console.
const (
	reportFD = 3 + iota
	initrdFD
	consoleFD
)

// kernelCommand is the kernel's command line.
func (c *Config) kernelCommand() string {
	words := []string{kernelArguments}
	if c.Accel == "tcg" {
		words = append(words, "tsc_early_khz="+strconv.Itoa(tscKHz()))
	}
	if c.Append != "" {
		words = append(words, c.Append)
	}
	return strings.Join(words, " ")
}

// arguments is QEMU's command line.
func (c *Config) arguments(g *Guest) []string {
	args := append([]string{
		"-machine", "q35,usb=off,smm=off,graphics=off", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-smp", strconv.Itoa(c.Processors), "-m", strconv.Itoa(c.Memory),
		"-kernel", g.kernel.image, "-initrd", "/dev/fd/" + strconv.Itoa(initrdFD), "-append", c.kernelCommand(),
		"-serial", "file:/dev/fd/" + strconv.Itoa(consoleFD),
		"-device", "virtio-serial-pci", "-chardev", "socket,id=report,fd=" + strconv.Itoa(reportFD),
		"-device", "virtserialport,chardev=report,name=" + guest.PortName,
	}, g.qemu.args...)
	switch c.Accel {
	case "kvm":
		args = append(args, "-accel", "kvm", "-cpu", "host")
	case "count":
		args = append(args, "-accel", "tcg,thread=single,tb-size=512", "-icount", "shift=0,sleep=off", "-cpu", emulatedCPU)
	default:
		args = append(args, "-accel", "tcg,thread=multi,tb-size=512", "-cpu", emulatedCPU)
	}
	for i := range guest.Cards {
		args = append(args, "-netdev", c.netdev(i))
		bus := ""
		if c.NIC == "igb" { // whose virtual functions need a bus of their own
			port := fmt.Sprintf("port%d", i)
			args = append(args, "-device", fmt.Sprintf("pcie-root-port,id=%s,chassis=%d,slot=%d", port, i+1, i+1))
			bus = ",bus=" + port
		}
		args = append(args, "-device", fmt.Sprintf("%s,netdev=wire%d,mac=%s%s", c.device(), i, guest.Addresses[i], bus))
	}
	return args
}

// netdev is the end of the wire of card i.
func (c *Config) netdev(i int) string {
	if c.Wire == "tap" {
		return fmt.Sprintf("tap,id=wire%d,ifname=%s,script=no,downscript=no,vhost=off,queues=%d", i, tapName(i), c.Queues)
	}
	return fmt.Sprintf("hubport,id=wire%d,hubid=0", i)
}

// device is the model of the cards with its properties.
func (c *Config) device() string {
	d := []string{c.NIC, "romfile="} // nothing boots from the network
	if c.NIC == "virtio" {
		// Without iommu_platform the driver does its own DMA mapping, and refuses zero-copy.
		d = []string{"virtio-net-pci", "romfile=", "disable-legacy=on", "iommu_platform=on", "mrg_rxbuf=on",
			"rx_queue_size=1024", "tx_queue_size=256"}
		if c.Wire == "tap" { // with these the driver refuses XDP
			for _, offload := range []string{"csum", "tso4", "tso6", "ecn", "ufo", "uso4", "uso6"} {
				d = append(d, "guest_"+offload+"=off")
			}
		}
		if c.Queues > 1 {
			d = append(d, "mq=on", "rss=on", fmt.Sprintf("vectors=%d", 2*c.Queues+2))
		}
	}
	if c.Options != "" {
		d = append(d, c.Options)
	}
	return strings.Join(d, ",")
}
