/** What ours is to do, given what the original does, where that is not the same. */
export const different = {}
