/** Who takes part: the cores know nothing of a peer but that ids can be compared. EndpointIds on the wire, numbers in the simulator. */
export type PeerId = string | number
