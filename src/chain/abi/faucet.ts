import { parseAbi } from "viem";

/**
 * BlindFaucet: test BLIND for whoever asks.
 * The last 2 errors are not in the published interface: the devnet's contracts and the contracts they call raise them.
 */
export const faucetAbi = parseAbi([
  "function blind() view returns (address)",
  "function dripAmount() view returns (uint256)",
  "function cooldown() view returns (uint256)",
  "function lastDrip(address) view returns (uint256)",
  "function drip()",
  "event Drip(address indexed recipient, uint256 amount)",
  "error CooldownActive(uint256 availableAt)",
  "error ERC20InsufficientBalance(address sender, uint256 balance, uint256 needed)",
] as const);
