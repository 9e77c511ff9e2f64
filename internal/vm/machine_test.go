package vm

import (
	"strings"
	"testing"
)

func TestRefusedConfig(t *testing.T) {
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{NIC: "e1000"}, `no network card "e1000": virtio or igb`},
		{Config{Queues: 9}, "9 queues: 1 to 8"},
		{Config{Queues: -1}, "-1 queues"},
		{Config{Queues: 4}, "4 queues need as many processors; there are 2"},
		{Config{Queues: 2, Wire: "hub"}, "need a wire of as many: tap, not hub"},
		{Config{Wire: "string"}, `no wire "string"`},
		{Config{Accel: "xen"}, `no accelerator "xen"`},
	} {
		if err := c.config.setDefaults(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v; want %q", c.config, err, c.want)
		}
	}
}

func TestArguments(t *testing.T) {
	g := &Guest{kernel: &kernel{image: "/k/vmlinux"}, qemu: unpackedQEMU("/q")}
	for _, c := range []struct {
		name        string
		config      Config
		has, hasNot []string
	}{
		{"virtio", Config{}, []string{"hubport,id=wire1,hubid=0", "virtio-net-pci", "iommu_platform=on", "-kernel /k/vmlinux -initrd /dev/fd/4", "-L /q/usr/share/seabios", "-serial file:/dev/fd/5", "tsc_early_khz="}, []string{"tap", "mq=on", "guest_csum", "pcie-root-port"}},
		{"virtio, two queues", Config{Queues: 2}, []string{"tap,id=wire0,ifname=xs-tap0", "queues=2", "mq=on,rss=on,vectors=6", "guest_csum=off", "guest_uso6=off"}, []string{"hubport"}},
		{"igb, two queues", Config{NIC: "igb", Queues: 2}, []string{"hubport", "igb,romfile=,netdev=wire0,mac=02:00:00:00:00:10,bus=port0", "netdev=wire1,mac=02:00:00:00:00:11,bus=port1"}, []string{"tap", "virtio-net-pci"}},
		{"count", Config{Accel: "count", Processors: 1}, []string{"-smp 1", "thread=single", "-icount shift=0"}, []string{"thread=multi"}},
		{"options", Config{Options: "iommu_platform=off", Append: "quiet=no", Accel: "kvm"}, []string{"iommu_platform=on,mrg_rxbuf=on,rx_queue_size=1024,tx_queue_size=256,iommu_platform=off", "rdinit=/init quiet=no", "-accel kvm"}, []string{"tcg"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.config.setDefaults(); err != nil {
				t.Fatal(err)
			}
			got := strings.Join(c.config.arguments(g), " ")
			for _, want := range c.has {
				if !strings.Contains(got, want) {
					t.Errorf("no %q in %s", want, got)
				}
			}
			for _, not := range c.hasNot {
				if strings.Contains(got, not) {
					t.Errorf("%q in %s", not, got)
				}
			}
		})
	}
}

// TestCounterRate measures the counter twice.
func TestCounterRate(t *testing.T) {
	a, b := tscKHz(), tscKHz()
	if a < 100_000 || a > 10_000_000 || a-b > a/20 || b-a > a/20 {
		t.Errorf("%d and %d kHz", a, b)
	}
}
