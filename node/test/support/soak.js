/** Whether there is time: `make soak`. */
export const isSoak = Boolean(process.env.FANFARE_SOAK)
