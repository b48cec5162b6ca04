import SSE from './index.js';

export default SSE;
export { SSE };
export const Client = SSE.Client;
