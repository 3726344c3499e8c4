/** What the driver says of a volume's attributes: its own words, so that examples never say others. */
export { ownAttributes, parseAttributes } from "../../../src/core/volume-attributes.ts";
