import * as figures from './figures.js'
import * as follow from './follow.js'
import * as publish from './publish.js'
import * as topics from './topics.js'

for (const part of [figures, topics, publish, follow]) part.start()
