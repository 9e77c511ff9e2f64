package receive

import (
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
)

func TestCountersOfTheInterface(t *testing.T) {
	before := nic{link: netlink.LinkStatistics{RxPackets: 10, RxDropped: 3}, driver: map[string]uint64{"a": 5, "b": 7, "c": 1}}
	for name, tt := range map[string]struct {
		now    nic
		link   Link
		driver []Count
	}{
		"some came": {nic{link: netlink.LinkStatistics{RxPackets: 15, RxDropped: 3, RxErrors: 1}, driver: map[string]uint64{"b": 9, "a": 6, "c": 1}},
			Link{Packets: 5, Errors: 1}, []Count{{"a", 1}, {"b", 2}}},
		"it is gone":      {},
		"it is a new one": {now: nic{link: netlink.LinkStatistics{RxPackets: 2}, driver: map[string]uint64{"a": 2}}},
	} {
		if link, driver := tt.now.since(&before); link != tt.link || !slices.Equal(driver, tt.driver) {
			t.Errorf("%s: %+v, %v, want %+v, %v", name, link, driver, tt.link, tt.driver)
		}
	}
}
