/** Why a target is missed, by its id: kept by hand, shown only while it is. */
export const causes: Readonly<Record<string, string>> = {};
