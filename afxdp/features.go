package afxdp

import "github.com/xdpstack/xdpstack/internal/netdev"

// Features are what an interface's driver does for XDP, as the kernel tells it from Linux 6.3 on.
type Features = netdev.XDPFeatures

// The features.
const (
	FeatureBasic         = netdev.XDPBasic         // the driver runs XDP programs itself
	FeatureRedirect      = netdev.XDPRedirect      // it redirects frames, to AF_XDP sockets for example
	FeatureTransmit      = netdev.XDPTransmit      // it sends frames that were redirected to it
	FeatureZeroCopy      = netdev.XDPZeroCopy      // AF_XDP sockets may be bound with zero-copy
	FeatureOffload       = netdev.XDPOffload       // the hardware runs XDP programs
	FeatureReceiveMulti  = netdev.XDPReceiveMulti  // it receives frames of several buffers
	FeatureTransmitMulti = netdev.XDPTransmitMulti // it sends redirected frames of several buffers
)

// ReceiveMetadata is what a driver tells an XDP program about a received packet, from Linux 6.7 on.
type ReceiveMetadata = netdev.RxMetadata

// The metadata.
const (
	ReceiveTimestamp = netdev.RxTimestamp // when the device received it
	ReceiveHash      = netdev.RxHash      // the device's hash of its addresses and ports
	ReceiveVLANTag   = netdev.RxVLANTag   // the VLAN tag that the device took off
)

// TransmitMetadata is what a driver does for a frame that is sent with metadata, in zero-copy mode, from Linux 6.8 on. In copy
// mode the kernel fills in the checksum itself where the driver cannot.
type TransmitMetadata = netdev.XSKFeatures

// The metadata.
const (
	TransmitTimestamp  = netdev.TxTimestamp  // it says when the device sent it
	TransmitChecksum   = netdev.TxChecksum   // it fills in the checksum
	TransmitLaunchTime = netdev.TxLaunchTime // it sends it at a time that is given
)

// askFeatures asks the kernel what the driver of an interface of the calling thread's network namespace does for XDP. Before
// Linux 6.3 that is unknown.
func (i *Info) askFeatures() {
	i.XDP, i.RxMetadata, i.TxMetadata = netdev.XDPUnknown, netdev.RxMetadataUnknown, netdev.XSKUnknown
	c, err := netdev.Dial()
	if err != nil {
		i.XDPUnknown = err
		return
	}
	defer c.Close()
	d, err := c.Device(i.Index)
	if err != nil {
		i.XDPUnknown = err
		return
	}
	i.XDP, i.RxMetadata, i.TxMetadata = d.XDP, d.RxMetadata, d.XSK
	i.ZeroCopyFrames = max(d.ZeroCopySegments, 0)
}
