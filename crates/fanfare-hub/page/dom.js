export const byId = id => document.getElementById(id)

/** What the network says is text, never HTML. */
export function element(tag, className = '', text = '') {
  const created = document.createElement(tag)
  created.className = className
  created.textContent = text
  return created
}

/** Changes the text where it is another: what has not changed is not announced, and stays selected. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text
}
